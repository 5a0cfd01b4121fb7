"""Messages: what a conversation is made of, checked once at the edge and copied to plain data.

A message is a mapping with a ``role`` and a ``content``: text, or a list of parts as the OpenAI API
has them.  A message that calls tools needs no content; the arguments of its calls may be data or
JSON text, and are data from here on.  What else it holds (``name``, ``reasoning_content``) goes to
the template as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from .._quote import quote
from ..errors import ParameterError
from ._marked import MarkedText

__all__ = [
    "Message",
    "as_parts",
    "as_text",
    "check_list",
    "checked_messages",
    "with_argument_text",
    "without_system",
]

Message = Mapping[str, Any]

_ROLE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_MAX_DEPTH = 50
# Names that a message's reasoning goes by; templates read the first, gpt-oss the second.
_REASONING_KEYS = ("reasoning_content", "thinking", "reasoning")
# Parts that stand for something which is not in the text: a template would write a place for it.
_MEDIA = re.compile(r"(input_)?(image|audio|video|file)(_url)?")


def checked_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages as new plain dicts.

    Raises:
        ParameterError: They are not a list of messages; says which one, and what is wrong with it.
    """
    check_list(messages)
    return [_checked(message, f"messages[{i}]") for i, message in enumerate(messages)]


def check_list(messages: object) -> None:
    """Raise a ParameterError for what is no list."""
    if isinstance(messages, str | bytes | bytearray | Mapping) or not isinstance(
        messages, Sequence
    ):
        message = (
            f"messages must be a list of dicts with role and content, not {type(messages).__name__}"
        )
        raise ParameterError(message)


def _checked(message: Message, where: str) -> dict[str, Any]:
    if not isinstance(cast("object", message), Mapping):
        error = f"{where} must be a dict with role and content, not {type(message).__name__}"
        raise ParameterError(error)
    role = message.get("role")
    if not isinstance(role, str) or not _ROLE.fullmatch(role):
        error = f"{where} has the role {quote(role)}; a role is a word such as 'system', 'user' or 'assistant'"
        raise ParameterError(error)
    _check_content(message.get("content"), where, is_optional="tool_calls" in message)
    _check_calls(message.get("tool_calls"), where)
    plain: dict[str, Any] = _plain(message, where, 0)
    _parse_arguments(plain.get("tool_calls"))
    reasoning = next((plain[key] for key in _REASONING_KEYS if plain.get(key) is not None), None)
    if reasoning is not None:
        plain |= {"reasoning_content": reasoning, "thinking": plain.get("thinking") or reasoning}
    return plain


def _check_content(content: object, where: str, *, is_optional: bool) -> None:
    if isinstance(content, str) or (content is None and is_optional):
        return
    if isinstance(content, Sequence) and not isinstance(content, bytes | bytearray):
        for part in content:
            _check_part(part, where)
        return
    error = f"{where} has the content {quote(content, 80)}; it must be text, or a list of parts of the type 'text'"
    raise ParameterError(error)


def _check_part(part: object, where: str) -> None:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if not isinstance(part, Mapping) or not isinstance(kind, str):
        error = f"{where} has the part {quote(part, 80)}; a part is a dict with a type, such as {{'type': 'text', 'text': ...}}"
        raise ParameterError(error)
    if kind == "text" and not isinstance(part.get("text"), str):
        error = f"{where} has a part of the type 'text' whose text is {quote(part.get('text'), 80)}"
        raise ParameterError(error)
    if _MEDIA.fullmatch(kind):
        error = f"{where} has a part of the type {quote(kind)}; only parts of the type 'text' can be passed to a model"
        raise ParameterError(error)


def _check_calls(calls: object, where: str) -> None:
    """Calls of tools, as OpenAI has them or without the wrapping."""
    if calls is None:
        return
    is_list = isinstance(calls, Sequence) and not isinstance(calls, str | bytes | bytearray)
    if not is_list or not all(_is_call(call) for call in cast("Sequence[object]", calls)):
        error = f"{where} has the tool_calls {quote(calls, 80)}; they must be a list of dicts with a function"
        raise ParameterError(error)


def _is_call(call: object) -> bool:
    return isinstance(call, Mapping) and isinstance(call.get("function", call), Mapping)


def _parse_arguments(tool_calls: Any) -> None:
    """Replace arguments that are JSON text (OpenAI's form) by what the text says."""
    for function in _functions(tool_calls):
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            try:
                parsed = json.loads(arguments or "{}")
            except (ValueError, RecursionError):
                continue  # A model wrote it; it is shown as it is.
            if isinstance(parsed, dict):
                function["arguments"] = parsed


def _functions(tool_calls: Any) -> list[dict[str, Any]]:
    """What the calls of a plain message call; nothing for what has another form."""
    calls = tool_calls if isinstance(tool_calls, list) else []
    found = [call.get("function", call) for call in calls if isinstance(call, dict)]
    return [function for function in found if isinstance(function, dict)]


def _plain(value: Any, where: str, depth: int) -> Any:
    """A copy made of plain JSON types, so that a template sees nothing else."""
    if depth > _MAX_DEPTH:
        error = f"{where} is nested more than {_MAX_DEPTH} deep"
        raise ParameterError(error)
    if isinstance(value, str):
        return value if type(value) in (str, MarkedText) else str.__str__(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {
            _plain(key, where, depth + 1): _plain(item, where, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_plain(item, where, depth + 1) for item in value]
    error = f"{where} holds a {type(value).__name__}, which is not plain data"
    raise ParameterError(error)


def as_text(message: dict[str, Any]) -> dict[str, Any]:
    """The message with its text parts joined, for a template that expects text.

    Raises:
        ParameterError: It has a part that is no text.
    """
    content = message.get("content")
    if not isinstance(content, list):
        return message
    strange = next((part["type"] for part in content if part["type"] != "text"), None)
    if strange is not None:
        error = (
            f"a part of the type {quote(strange)} can't be shown: the chat template takes text only"
        )
        raise ParameterError(error)
    return {**message, "content": "".join(part["text"] for part in content)}


def as_parts(message: dict[str, Any]) -> dict[str, Any]:
    """The message with its text as one part, for a template that expects parts."""
    content = message.get("content")
    if not isinstance(content, str):
        return message
    return {**message, "content": [{"type": "text", "text": content}]}


def with_argument_text(message: dict[str, Any]) -> dict[str, Any]:
    """The message with the arguments of its calls as JSON text."""
    calls = [dict(call) if isinstance(call, dict) else call for call in message["tool_calls"]]
    for call in calls:
        if isinstance(call, dict) and isinstance(call.get("function"), dict):
            call["function"] = dict(call["function"])
    for function in _functions(calls):
        if isinstance(function.get("arguments"), dict):
            function["arguments"] = json.dumps(function["arguments"], ensure_ascii=False)
    return {**message, "tool_calls": calls}


def without_system(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with the system message at the head of the next one.

    For templates that have no place for it (Gemma 1 and 2, the first Mistral).
    """
    if len(messages) < 2 or messages[0]["role"] != "system":
        return messages
    system, first, *rest = messages
    system, first = as_text(system), as_text(first)
    text = "\n\n".join(filter(None, (system["content"], first.get("content"))))
    return [{**first, "content": text}, *rest]
