"""What to do when the compiler refuses a schema: find where, and leave that out if it may be checked.

The compiler says what it does not like, but not where.  So schemas inside the schema are compiled
alone, from the outside in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmlocal._generation._validate import require_validator
from llmlocal.errors import SchemaError

if TYPE_CHECKING:
    from llmlocal._generation._constraint import Constraint

__all__ = ["checked_afterwards"]

_MOST_TRIES = 200
_SHARED = ("$defs", "definitions", "x-guidance")
_IMPOSSIBLE = ("Unsatisfiable schema", "no answer can obey", "NoExtension")
_UNLIMITED = ("too complex", "too large", "at most", "recursion limit", "fuel", "Too many")

_Path = tuple[str | int, ...]


def checked_afterwards(
    constraint: Constraint, is_fine: Callable[[str], bool], refusal: Exception
) -> Constraint:
    """The constraint without what the compiler refused in it, to be checked afterwards.

    Args:
        constraint: One from a schema.
        is_fine: Whether a schema's text compiles.
        refusal: Why this one did not.

    Raises:
        SchemaError: It may not be checked, or no answer can obey it; says where, as far as it can be
            found.
    """
    reason = str(refusal).replace("<non-verbose/>", "").strip()
    if any(each in reason for each in _IMPOSSIBLE):
        raise SchemaError(f"no answer can obey the schema: {reason}", path="$") from None
    if any(each in reason for each in _UNLIMITED):
        raise SchemaError(f"the schema is too large or too complex: {reason}", path="$") from None
    finder = _Finder(json.loads(constraint.text), is_fine)
    path = finder.find()
    if not constraint.may_check:
        raise SchemaError(
            f"{_written(path)} can't be enforced: {reason}. Leave it out, or have the answer checked"
            ' afterwards with unsupported="validate"',
            path=_written(path),
        ) from None
    skipped = []
    while not is_fine(json.dumps(finder.schema, ensure_ascii=False)):
        if len(path) == 0 or finder.tries > _MOST_TRIES:
            raise SchemaError(f"the schema can't be enforced: {reason}", path="$") from None
        finder.leave_out(path)
        skipped.append(_written(path))
        path = finder.find()
    require_validator(constraint.schema, skipped)
    return replace(
        constraint, text=json.dumps(finder.schema, ensure_ascii=False), checks=True, may_check=False
    )


class _Finder:
    def __init__(self, schema: dict[str, Any], is_fine: Callable[[str], bool]) -> None:
        self.schema = schema
        self.tries = 0
        self._is_fine = is_fine

    def find(self) -> _Path:
        """The path of the innermost keyword that is refused; empty where it can't be found."""
        path: _Path = ()
        while True:
            node = _at(self.schema, path)
            inner = next((each for each in _inner(node) if not self._compiles(each, path)), None)
            if inner is None:
                break
            path += inner
        node = _at(self.schema, path)
        for key in node:
            rest = {name: value for name, value in node.items() if name != key}
            if key not in _SHARED and self._compiles_alone(rest):
                return (*path, key)
        return path

    def leave_out(self, path: _Path) -> None:
        """Take a keyword away; of "oneOf" is kept that one of them at least holds."""
        node = _at(self.schema, path[:-1])
        removed = node.pop(path[-1])
        if path[-1] == "oneOf" and "anyOf" not in node:
            node["anyOf"] = removed

    def _compiles(self, inner: _Path, path: _Path) -> bool:
        return self._compiles_alone(_at(self.schema, (*path, *inner)))

    def _compiles_alone(self, schema: Any) -> bool:
        self.tries += 1
        if self.tries > _MOST_TRIES or not isinstance(schema, dict):
            return True
        shared = {key: self.schema[key] for key in _SHARED if key in self.schema}
        return self._is_fine(json.dumps({**shared, **schema}, ensure_ascii=False))


def _inner(schema: Any) -> Iterator[_Path]:
    """Where schemas are directly inside a schema."""
    for key in ("items", "additionalProperties", "additionalItems"):
        if isinstance(schema.get(key), Mapping):
            yield (key,)
    for key in ("allOf", "anyOf", "oneOf", "prefixItems", "items"):
        if isinstance(schema.get(key), list):
            yield from ((key, i) for i in range(len(schema[key])))
    for key in ("$defs", "definitions", "properties", "patternProperties"):
        if isinstance(schema.get(key), Mapping):
            yield from ((key, name) for name in schema[key])


def _at(schema: Any, path: _Path) -> Any:
    for each in path:
        schema = schema[each]
    return schema


def _written(path: _Path) -> str:
    return "$" + "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in path)
