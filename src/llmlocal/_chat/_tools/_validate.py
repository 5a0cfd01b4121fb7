"""Checks arguments against a tool's schema, before a function sees them.

Generated arguments can't be wrong, since their grammar is made of the schema; those of a history
that came from elsewhere can.  Keywords that are not known here say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llmlocal._chat._output import json_type
from llmlocal._quote import quote

__all__ = ["problem_with"]

_MOST_DEEP = 100


def problem_with(value: Any, schema: Any, root: Mapping[str, Any], path: str = "$") -> str | None:
    """What is wrong with a value, as words that begin with where; None if nothing is."""
    if path.count(".") + path.count("[") > _MOST_DEEP:
        return f"{path[:80]}... is nested too deep"
    if schema is False:
        return f"{path} must not be there"
    if not isinstance(schema, Mapping):
        return None
    if "$ref" in schema:
        return problem_with(value, _resolve(schema["$ref"], root), root, path)
    return (
        _wrong_kind(value, schema, path)
        or _wrong_choice(value, schema, root, path)
        or _wrong_size(value, schema, path)
        or _wrong_inside(value, schema, root, path)
    )


def _resolve(name: Any, root: Mapping[str, Any]) -> Any:
    target: Any = root
    for part in str(name).removeprefix("#").strip("/").split("/"):
        target = target.get(part) if isinstance(target, Mapping) and part else target
    return target


def _wrong_kind(value: Any, schema: Mapping[str, Any], path: str) -> str | None:
    given = schema.get("type")
    kinds = [given] if isinstance(given, str) else given
    if not isinstance(kinds, list):
        return None
    kind = json_type(value)
    is_whole = kind == "number" and float(value).is_integer()
    if kind in kinds or (is_whole and "integer" in kinds):
        return None
    return f"{path} must be {' or '.join(map(str, kinds))}, got {quote(value)}"


def _wrong_choice(
    value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], path: str
) -> str | None:
    if "const" in schema and not _same(value, schema["const"]):
        return f"{path} must be {quote(schema['const'])}, got {quote(value)}"
    if "enum" in schema and not any(_same(value, each) for each in schema["enum"]):
        return f"{path} must be one of {quote(schema['enum'], 120)}, got {quote(value)}"
    for each in schema.get("allOf", ()):
        problem = problem_with(value, each, root, path)
        if problem:
            return problem
    for key in ("anyOf", "oneOf"):
        if key in schema:
            problems = [problem_with(value, each, root, path) for each in schema[key]]
            if all(problems):
                return problems[0]
    return None


def _same(a: Any, b: Any) -> bool:
    return json_type(a) == json_type(b) and bool(a == b)


def _wrong_size(value: Any, schema: Mapping[str, Any], path: str) -> str | None:
    kind = json_type(value)
    if kind == "number":
        low, high = schema.get("minimum"), schema.get("maximum")
        above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        if (
            (low is not None and value < low)
            or (high is not None and value > high)
            or (above is not None and value <= above)
            or (below is not None and value >= below)
        ):
            return f"{path} is out of its range: {value!r}"
        return None
    if kind == "string":
        low, high = schema.get("minLength", 0), schema.get("maxLength")
        if len(value) < low or (high is not None and len(value) > high):
            return f"{path} has {len(value)} characters, which is out of its range"
        pattern = schema.get("pattern")
        if isinstance(pattern, str) and re.search(pattern, value) is None:
            return f"{path} must match {quote(pattern)}, got {quote(value)}"
    if kind == "array":
        low, high = schema.get("minItems", 0), schema.get("maxItems")
        if len(value) < low or (high is not None and len(value) > high):
            return f"{path} has {len(value)} items, which is out of its range"
    return None


def _wrong_inside(
    value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], path: str
) -> str | None:
    if json_type(value) == "object":
        properties = schema.get("properties", {})
        for name in schema.get("required", ()):
            if name not in value:
                return f"{path}.{name} is missing"
        for name, item in value.items():
            inner = properties.get(name, schema.get("additionalProperties", True))
            if inner is False:
                return f"{path} has no argument {quote(name)}"
            problem = problem_with(item, inner, root, f"{path}.{name}")
            if problem:
                return problem
    if json_type(value) == "array":
        first = schema.get("prefixItems", ())
        for i, item in enumerate(value):
            inner = first[i] if i < len(first) else schema.get("items", True)
            problem = problem_with(item, inner, root, f"{path}[{i}]")
            if problem:
                return problem
    return None
