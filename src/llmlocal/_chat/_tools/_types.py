"""Which JSON types a schema allows, and what is left of it for some of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llmlocal._chat._output._format import JsonType, json_type

__all__ = ["allowed_types", "of_types"]

_ALL: tuple[JsonType, ...] = ("string", "number", "boolean", "null", "array", "object")
_NAMED: dict[str, JsonType] = {"integer": "number", **{name: name for name in _ALL}}


def allowed_types(schema: Any) -> list[JsonType]:
    """The JSON types that a schema allows, as far as it says; whole numbers are numbers."""
    if not isinstance(schema, Mapping):
        return list(_ALL)
    given = schema.get("type")
    if isinstance(given, str | list):
        names = [given] if isinstance(given, str) else given
        return _distinct(_NAMED[name] for name in names if name in _NAMED) or ["string"]
    if "const" in schema:
        return [json_type(schema["const"])]
    if "enum" in schema:
        return _distinct(map(json_type, schema["enum"]))
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return _distinct(name for each in schema[key] for name in allowed_types(each))
    parts = [set(allowed_types(each)) for each in schema.get("allOf", ())]
    return [name for name in _ALL if all(name in part for part in parts)]


def of_types(schema: Mapping[str, Any], types: Iterable[JsonType]) -> dict[str, Any]:
    """What a schema says of values of these types, all of which it allows."""
    kept = set(types)
    left = dict(schema)
    given = schema.get("type")
    if isinstance(given, list):
        names = [name for name in given if _NAMED.get(name) in kept]
        return {**left, "type": names[0] if len(names) == 1 else names}
    if isinstance(given, str) or "const" in schema:
        return left
    if "enum" in schema:
        return {**left, "enum": [value for value in schema["enum"] if json_type(value) in kept]}
    for key in ("anyOf", "oneOf"):
        if key in schema:
            ways = [
                of_types(each, own)
                for each in left.pop(key)
                if isinstance(each, Mapping) and (own := kept & set(allowed_types(each)))
            ]
            return {**left, **ways[0]} if len(ways) == 1 else {**left, key: ways}
    return {**left, "type": sorted(kept)} if len(kept) < len(_ALL) else left


def _distinct(names: Iterable[JsonType]) -> list[JsonType]:
    return list(dict.fromkeys(names))
