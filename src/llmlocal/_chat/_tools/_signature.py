"""A function as a tool: its schema, from its signature, type hints and docstring."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from llmlocal._quote import quote
from llmlocal.errors import ParameterError

__all__ = ["function_schema", "plain_schema", "typed_arguments"]

_SIMPLE: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    None: {"type": "null"},
    list: {"type": "array"},
    tuple: {"type": "array"},
    dict: {"type": "object"},
    Any: {},
    inspect.Parameter.empty: {},
}
_SECTION = re.compile(r"^\s*(Args|Arguments|Parameters|Params)\s*:\s*$", re.IGNORECASE)
_OTHER_SECTION = re.compile(
    r"^\s*(Returns?|Raises|Yields?|Examples?|Notes?|Attributes|Warns|See Also)\s*:?\s*$",
    re.IGNORECASE,
)
_ARGUMENT = re.compile(r"^\s*\**(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_SPHINX = re.compile(r"^\s*:param\s+(?:[\w.\[\], ]+\s+)?(\w+)\s*:\s*(.*)$")


def function_schema(function: Callable[..., Any]) -> tuple[str, dict[str, Any]]:
    """What the function does, and the JSON schema of its arguments.

    Raises:
        ParameterError: A parameter can't be given by name, or has a type without a schema.
    """
    described, texts = _docstring(inspect.getdoc(function) or "")
    hints = _hints(function)
    properties: dict[str, Any] = {}
    required: list[str] = []
    for name, parameter in _parameters(function).items():
        schema = _hint_schema(hints.get(name, parameter.annotation), f"{function.__name__}({name})")
        if name in texts and "description" not in schema:
            schema = {**schema, "description": texts[name]}
        if parameter.default is inspect.Parameter.empty:
            required.append(name)
        properties[name] = schema
    return described, {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def typed_arguments(function: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as the function's type hints want them: dataclasses, enums, models, tuples."""
    hints = _hints(function)
    return {name: _typed(value, hints.get(name, Any)) for name, value in arguments.items()}


def plain_schema(model: type) -> dict[str, Any]:
    """The JSON schema of a pydantic model or dataclass."""
    schema = _hint_schema(model, model.__name__)
    return schema if "type" in schema else {"type": "object", **schema}


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    try:
        parameters = dict(inspect.signature(function).parameters)
    except (TypeError, ValueError) as exc:
        raise ParameterError(f"{quote(function)} has no signature to make a tool of") from exc
    for name, parameter in parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ParameterError(
                f"the parameter {name!r} of the tool {_name(function)!r} can't be given by name"
            )
    return parameters


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", repr(function))


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    target = function if hasattr(function, "__annotations__") else type(function).__call__
    try:
        return get_type_hints(target, include_extras=True)
    except (NameError, TypeError, AttributeError) as exc:
        raise ParameterError(
            f"the type hints of the tool {_name(function)!r} can't be read: {exc}"
        ) from exc


def _hint_schema(hint: Any, where: str) -> dict[str, Any]:
    """The schema of a type hint."""
    if _is_hashable(hint) and hint in _SIMPLE:
        return dict(_SIMPLE[hint])
    origin, args = get_origin(hint), get_args(hint)
    if origin is typing.Annotated:
        schema = _hint_schema(args[0], where)
        text = next((extra for extra in args[1:] if isinstance(extra, str)), None)
        return {**schema, "description": text} if text else schema
    if origin is Literal:
        return {"enum": list(args), **_enum_type(args)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_hint_schema(each, where) for each in args]}
    if origin is tuple and args and args[-1] is not Ellipsis:
        items = [_hint_schema(each, where) for each in args]
        count = len(items)
        return {"type": "array", "prefixItems": items, "minItems": count, "maxItems": count}
    if origin in (list, set, frozenset, tuple, Sequence) or _is_a(origin, Sequence):
        return {"type": "array", "items": _hint_schema(args[0], where)}
    if origin is dict or _is_a(origin, Mapping):
        return {"type": "object", "additionalProperties": _hint_schema(args[1], where)}
    if hasattr(hint, "model_json_schema"):
        return dict(hint.model_json_schema())
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        values = [member.value for member in hint]
        return {"enum": values, **_enum_type(values)}
    if isinstance(hint, type) and (dataclasses.is_dataclass(hint) or typing.is_typeddict(hint)):
        return _fields_schema(hint, where)
    raise ParameterError(f"{where} has the type {quote(hint)}, which has no JSON schema")


def _fields_schema(kind: type, where: str) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    if dataclasses.is_dataclass(kind):
        missing = dataclasses.MISSING
        required = [
            field.name
            for field in dataclasses.fields(kind)
            if field.default is missing and field.default_factory is missing
        ]
    else:
        required = sorted(getattr(kind, "__required_keys__", ()))
    return {
        "type": "object",
        "properties": {name: _hint_schema(hint, f"{where}.{name}") for name, hint in hints.items()},
        "required": required,
        "additionalProperties": False,
    }


def _enum_type(values: Sequence[Any]) -> dict[str, Any]:
    return {"type": "string"} if all(isinstance(value, str) for value in values) else {}


def _is_hashable(hint: Any) -> bool:
    try:
        hash(hint)
    except TypeError:
        return False
    return True


def _is_a(origin: Any, kind: type) -> bool:
    return isinstance(origin, type) and issubclass(origin, kind) and not issubclass(origin, str)


def _typed(value: Any, hint: Any) -> Any:
    """A value of JSON as the type that a hint names."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is typing.Annotated:
        return _typed(value, args[0])
    if origin in (Union, types.UnionType):
        return _typed_union(value, args)
    if hasattr(hint, "model_validate"):
        return hint.model_validate(value)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint(value)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        hints = get_type_hints(hint, include_extras=True)
        return hint(**{name: _typed(item, hints.get(name, Any)) for name, item in value.items()})
    if isinstance(value, list):
        if origin is tuple and args and args[-1] is not Ellipsis:
            return tuple(map(_typed, value, args))
        items = [_typed(item, args[0]) if args else item for item in value]
        kind = origin or hint
        return kind(items) if kind in (set, frozenset, tuple) else items
    if isinstance(value, Mapping) and len(args) == 2:
        return {key: _typed(item, args[1]) for key, item in value.items()}
    return float(value) if hint is float and isinstance(value, int) else value


def _typed_union(value: Any, kinds: Sequence[Any]) -> Any:
    for kind in kinds:
        if isinstance(kind, type) and kind is not type(None) and type(value) is kind:
            return value
    for kind in kinds:
        try:
            found = _typed(value, kind)
        except (TypeError, ValueError):
            continue
        if found is not value:
            return found
    return value


def _docstring(text: str) -> tuple[str, dict[str, str]]:
    """What a docstring says of the whole, and of each argument (Google's form, or Sphinx's)."""
    described: list[str] = []
    texts: dict[str, str] = {}
    is_arguments, last = False, ""
    indent = 0
    for line in text.splitlines():
        sphinx = _SPHINX.match(line)
        if sphinx:
            is_arguments, last = True, sphinx[1]
            texts[last] = sphinx[2].strip()
        elif _SECTION.match(line):
            is_arguments, last, indent = True, "", 0
        elif _OTHER_SECTION.match(line) or line.lstrip().startswith(":"):
            break
        elif is_arguments:
            depth = len(line) - len(line.lstrip())
            argument = _ARGUMENT.match(line)
            indent = indent or depth
            if argument and depth <= indent:
                last = argument[1]
                texts[last] = argument[2].strip()
            elif last and line.strip():
                texts[last] = f"{texts[last]} {line.strip()}".strip()
        else:
            described.append(line)
    return "\n".join(described).strip(), texts
