"""What an answer must obey: OpenAI's ``response_format``, and what other servers' clients send."""

from __future__ import annotations

from typing import Any

from llmlocal._quote import quote
from llmlocal.server._http._fields import Fields

__all__ = ["constraint_options"]

_VLLM = {"json": "schema", "regex": "regex", "choice": "choices", "grammar": "grammar"}


def constraint_options(fields: Fields) -> dict[str, Any]:
    """The option of the engine that is asked for, if one is."""
    found: list[tuple[str, str, Any]] = []  # field, option, value
    if (schema := _response_format(fields)) is not None:
        found.append(("response_format", "schema", schema))
    if (schema := fields.mapping("json_schema")) is not None:  # llama.cpp's
        found.append(("json_schema", "schema", schema))
    if grammar := fields.text("grammar"):
        found.append(("grammar", "grammar", grammar))
    for name, option in _VLLM.items():
        if (value := _value(fields, f"guided_{name}", option)) is not None:
            found.append((f"guided_{name}", option, value))
    if (outputs := fields.mapping("structured_outputs")) is not None:
        inner = Fields(outputs, "structured_outputs.")
        for name, option in _VLLM.items():
            if (value := _value(inner, name, option)) is not None:
                found.append((f"structured_outputs.{name}", option, value))
        inner.finish((), dict.fromkeys(outputs, "this is not known here"))
    if len(found) > 1:
        raise fields.error(found[1][0], f"an answer can obey one thing; there is {found[0][0]} too")
    return {option: value for _, option, value in found}


def _value(fields: Fields, name: str, option: str) -> Any:
    if option == "choices":
        return fields.texts(name) or None
    if option != "schema":
        return fields.text(name)
    value = fields.any(name)
    if value is not None and not isinstance(value, dict | str):
        raise fields.error(name, f"must be a JSON schema; got {quote(value)}")
    return value


def _response_format(fields: Fields) -> dict[str, Any] | None:
    asked = fields.mapping("response_format")
    if asked is None:
        return None
    inner = Fields(asked, "response_format.")
    kind = inner.one_of("type", ("text", "json_object", "json_schema"), "text")
    if kind == "json_object":
        given = inner.mapping("schema")  # llama.cpp's clients put one here
        return {"type": "object"} if given is None else given
    if kind == "text":
        return None
    wrapped = inner.mapping("json_schema")
    if wrapped is None:
        raise inner.error("json_schema", "is missing")
    schema = Fields(wrapped, "response_format.json_schema.").mapping("schema")
    return {"type": "object"} if schema is None else schema
