"""JSON schemas of Python types, and values of these types from what JSON stands for.

Objects are closed: what a type does not name, the model can't write.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
import types
import typing
import uuid
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Union, get_args, get_origin

from llmlocal._quote import quote
from llmlocal.errors import ParameterError

__all__ = ["ValueType", "value_type"]

_Read = Callable[[Any], Any]


@dataclass(frozen=True)
class ValueType:
    """A type that an answer is made into.

    Attributes:
        schema: Its JSON schema.
        read: Makes a value of the type from what JSON stands for; raises for what it refuses.
    """

    schema: dict[str, Any]
    read: _Read


def value_type(kind: Any) -> ValueType:
    """What to know of a type.

    Raises:
        ParameterError: It is no type that has a schema.
    """
    try:
        return _value_type(kind)
    except TypeError:  # It can't be hashed, so it is not remembered either.
        return _build(kind)


@lru_cache(maxsize=256)
def _value_type(kind: Any) -> ValueType:
    return _build(kind)


def _build(kind: Any) -> ValueType:
    builder = _Builder()
    schema, read = builder.build(kind)
    return ValueType(
        {**schema, "$defs": builder.definitions} if builder.definitions else schema, read
    )


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _no_schema(kind: object) -> ParameterError:
    return ParameterError(
        "schema must be a JSON schema or a type: a pydantic model, a dataclass, a TypedDict, an"
        f" Enum, a Literal, or lists and unions of these; got {quote(kind)}"
    )


class _MismatchError(Exception):
    """A value is not of the type; for another of a union it may be."""


def _expect(value: Any, *kinds: type) -> Any:
    if isinstance(value, bool) and bool not in kinds:
        raise _MismatchError(f"{value!r} is no {kinds[0].__name__}")
    if not isinstance(value, kinds):
        raise _MismatchError(f"{quote(value)} is no {kinds[0].__name__}")
    return value


def _moment(parse: Callable[[str], Any]) -> _Read:
    return lambda value: parse(_expect(value, str).replace("Z", "+00:00"))


_SIMPLE: dict[Any, tuple[dict[str, Any], _Read]] = {
    str: ({"type": "string"}, lambda value: _expect(value, str)),
    int: ({"type": "integer"}, lambda value: _expect(value, int)),
    float: ({"type": "number"}, lambda value: float(_expect(value, int, float))),
    bool: ({"type": "boolean"}, lambda value: _expect(value, bool)),
    type(None): ({"type": "null"}, lambda value: _expect(value, type(None))),
    None: ({"type": "null"}, lambda value: _expect(value, type(None))),
    Any: ({}, lambda value: value),
    object: ({}, lambda value: value),
    dt.date: ({"type": "string", "format": "date"}, _moment(dt.date.fromisoformat)),
    dt.datetime: (
        {"type": "string", "format": "date-time"},
        _moment(lambda text: dt.datetime.fromisoformat(_six_digits(text))),
    ),
    dt.time: (
        {"type": "string", "format": "time"},
        _moment(lambda text: dt.time.fromisoformat(_six_digits(text))),
    ),
    uuid.UUID: ({"type": "string", "format": "uuid"}, uuid.UUID),
}
_UNIONS = (Union, types.UnionType)
_LISTS: dict[Any, Callable[[Any], Any]] = {
    list: list,
    Sequence: list,
    tuple: tuple,
    set: set,
    AbstractSet: set,
    frozenset: frozenset,
}


def _six_digits(text: str) -> str:
    """A time with its fraction of a second in six digits, which is what Python 3.10 reads."""
    whole, dot, rest = text.partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789"))
    return f"{whole}.{rest[:digits][:6]:0<6}{rest[digits:]}" if dot else text


class _Builder:
    """Builds the schema of a type, and of those that it is made of."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}
        self._names: dict[Any, str] = {}  # Of the types that have a definition.
        self._reads: dict[Any, _Read] = {}

    def build(self, kind: Any) -> tuple[dict[str, Any], _Read]:
        kind = _plain(kind)
        try:
            if kind in _SIMPLE:
                return _SIMPLE[kind]
        except TypeError:
            pass
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Literal:
            return _constants(arguments)
        if origin in _UNIONS:
            return self._union(arguments)
        if kind is tuple or (origin is tuple and arguments[1:] != (...,)):
            return self._tuple(arguments) if arguments else self._list(tuple, Any)
        if not _is_hashable(kind):
            raise _no_schema(kind)
        if (origin or kind) in _LISTS:
            return self._list(_LISTS[origin or kind], arguments[0] if arguments else Any)
        if (origin or kind) in (dict, Mapping):
            return self._map(arguments)
        if isinstance(kind, type):
            return self._class(kind)
        raise _no_schema(kind)

    def _class(self, kind: Any) -> tuple[dict[str, Any], _Read]:
        if issubclass(kind, enum.Enum):
            schema, _ = _constants([member.value for member in kind])
            return schema, kind
        if hasattr(kind, "model_json_schema"):
            return self._pydantic(kind)
        if dataclasses.is_dataclass(kind):
            hints = typing.get_type_hints(kind, include_extras=True)
            fields = [field for field in dataclasses.fields(kind) if field.init]
            required = [field.name for field in fields if _has_no_default(field)]
            return self._object(kind, {f.name: hints[f.name] for f in fields}, required)
        if typing.is_typeddict(kind):
            hints = typing.get_type_hints(kind, include_extras=True)
            return self._object(kind, hints, [n for n in hints if n in kind.__required_keys__])
        raise ParameterError(f"schema: there is no JSON schema for {quote(kind)}")

    def _object(
        self, kind: Any, hints: Mapping[str, Any], required: list[str]
    ) -> tuple[dict[str, Any], _Read]:
        if kind not in self._names:
            name = self._names[kind] = self._free_name(kind.__name__)
            self.definitions[name] = {}  # It may refer to itself.
            built = {key: self.build(hint) for key, hint in hints.items()}
            self.definitions[name] = {
                "type": "object",
                "properties": {key: schema for key, (schema, _) in built.items()},
                "required": required,
                "additionalProperties": False,
            }
            self._reads[kind] = _object_reader(kind, built, required)

        def read(value: Any) -> Any:
            return self._reads[kind](value)  # Which is not there yet while it refers to itself.

        return {"$ref": f"#/$defs/{self._names[kind]}"}, read

    def _pydantic(self, kind: Any) -> tuple[dict[str, Any], _Read]:
        if kind not in self._names:
            name = self._names[kind] = self._free_name(kind.__name__)
            schema = kind.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
            for inner, definition in schema.pop("$defs", {}).items():
                self.definitions[f"{name}.{inner}"] = _closed(definition)
            self.definitions[name] = _closed(schema)
        return {"$ref": f"#/$defs/{self._names[kind]}"}, _pydantic_reader(kind)

    def _free_name(self, name: str) -> str:
        taken = self.definitions.keys()
        return name if name not in taken else f"{name}.{len(taken)}"

    def _union(self, arguments: Sequence[Any]) -> tuple[dict[str, Any], _Read]:
        built = [self.build(each) for each in arguments]

        def read(value: Any) -> Any:
            for _, one in built:
                try:
                    return one(value)
                except Exception:  # noqa: BLE001, S112 - the next may take it
                    continue
            raise _MismatchError(f"{quote(value)} is of none of the types")

        return {"anyOf": [schema for schema, _ in built]}, read

    def _list(self, make: Callable[[Any], Any], kind: Any) -> tuple[dict[str, Any], _Read]:
        schema, one = self.build(kind)
        return (
            {"type": "array", "items": schema},
            lambda value: make(one(each) for each in _expect(value, list)),
        )

    def _tuple(self, kinds: Sequence[Any]) -> tuple[dict[str, Any], _Read]:
        built = [self.build(each) for each in kinds]
        schema = {
            "type": "array",
            "prefixItems": [each for each, _ in built],
            "items": False,
            "minItems": len(built),
        }

        def read(value: Any) -> Any:
            return tuple(
                one(each) for (_, one), each in zip(built, _expect(value, list), strict=True)
            )

        return schema, read

    def _map(self, arguments: Sequence[Any]) -> tuple[dict[str, Any], _Read]:
        key, kind = arguments or (str, Any)
        if _plain(key) is not str:
            raise ParameterError(f"schema: the keys of JSON objects are texts, not {quote(key)}")
        schema, one = self.build(kind)
        return (
            {"type": "object", "additionalProperties": schema},
            lambda value: {name: one(each) for name, each in _expect(value, dict).items()},
        )


def _plain(kind: Any) -> Any:
    """The type behind names and notes."""
    while True:
        if get_origin(kind) is typing.Annotated or _is_key_note(get_origin(kind)):
            kind = get_args(kind)[0]
        elif hasattr(kind, "__supertype__"):  # NewType
            kind = kind.__supertype__
        elif type(kind).__name__ == "TypeAliasType":
            kind = kind.__value__
        else:
            return kind


def _is_key_note(origin: Any) -> bool:
    return getattr(origin, "_name", None) in ("Required", "NotRequired", "ReadOnly")


def _has_no_default(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _constants(values: Sequence[Any]) -> tuple[dict[str, Any], _Read]:
    for each in values:
        if not isinstance(each, (str, int, float, bool, type(None))):
            raise ParameterError(f"schema: JSON has no constant {quote(each)}")

    def read(value: Any) -> Any:
        for each in values:
            if each == value and isinstance(each, bool) == isinstance(value, bool):
                return each
        raise _MismatchError(f"{quote(value)} is none of the constants")

    return {"enum": list(values)}, read


def _pydantic_reader(model: Any) -> _Read:
    # As JSON, from which also a strict model takes dates.
    return lambda value: model.model_validate_json(json.dumps(value))


def _object_reader(
    kind: Any, built: Mapping[str, tuple[dict[str, Any], _Read]], required: Sequence[str]
) -> _Read:
    def read(value: Any) -> Any:
        _expect(value, dict)
        if not set(required) <= value.keys() <= built.keys():
            raise _MismatchError(f"{quote(value)} has not the fields of {kind.__name__}")
        return kind(**{name: built[name][1](each) for name, each in value.items()})

    return read


def _closed(schema: Any) -> Any:
    """A schema whose objects have no properties but those that are named."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {
        key: value if key in ("const", "default", "enum", "examples") else _closed(value)
        for key, value in schema.items()
    }
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
        closed.setdefault("additionalProperties", False)
    return closed
