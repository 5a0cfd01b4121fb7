"""Messages: what a conversation is made of, checked once at the edge and copied to plain data.

A message is a mapping with a ``role`` and a ``content``: text, or a list of text parts as the
OpenAI API has them.  What else it holds (``name``, ``tool_calls``, ``reasoning_content``) goes to
the template as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from ..errors import ParameterError

__all__ = ["Message", "as_parts", "as_text", "check_list", "checked_messages", "without_system"]

Message = Mapping[str, Any]

_ROLE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_MAX_DEPTH = 50
# Names that a message's reasoning goes by; templates read the first, gpt-oss the second.
_REASONING_KEYS = ("reasoning_content", "thinking", "reasoning")


def checked_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages as new plain dicts.

    Raises:
        ParameterError: They are no list of messages; says which one, and what is wrong with it.
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
        error = f"{where} has the role {role!r}; a role is a word such as 'system', 'user' or 'assistant'"
        raise ParameterError(error)
    _check_content(message.get("content"), where, is_optional="tool_calls" in message)
    plain: dict[str, Any] = _plain(message, where, 0)
    plain.setdefault("content", None)
    reasoning = next((plain[key] for key in _REASONING_KEYS if plain.get(key) is not None), None)
    if reasoning is not None:
        plain |= {"reasoning_content": reasoning, "thinking": plain.get("thinking") or reasoning}
    return plain


def _check_content(content: object, where: str, *, is_optional: bool) -> None:
    if isinstance(content, str) or (content is None and is_optional):
        return
    if isinstance(content, Sequence) and all(
        isinstance(part, Mapping)
        and part.get("type") == "text"
        and isinstance(part.get("text"), str)
        for part in content
    ):
        return
    error = f"{where} has the content {content!r:.80}; it must be text, or a list of parts of the type 'text'"
    raise ParameterError(error)


def _plain(value: Any, where: str, depth: int) -> Any:
    """A copy made of plain JSON types, so that a template sees nothing else."""
    if depth > _MAX_DEPTH:
        error = f"{where} is nested more than {_MAX_DEPTH} deep"
        raise ParameterError(error)
    if isinstance(value, str):
        return "".join(value) if type(value) is not str else value
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
    """The message with its text parts joined, for a template that expects text."""
    content = message["content"]
    if not isinstance(content, list):
        return message
    return {**message, "content": "".join(part["text"] for part in content)}


def as_parts(message: dict[str, Any]) -> dict[str, Any]:
    """The message with its text as one part, for a template that expects parts."""
    content = message["content"]
    if not isinstance(content, str):
        return message
    return {**message, "content": [{"type": "text", "text": content}]}


def without_system(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with the system message at the head of the next one.

    For templates that have no place for it (Gemma 1 and 2, the first Mistral).
    """
    if len(messages) < 2 or messages[0]["role"] != "system":
        return messages
    system, first, *rest = (as_text(message) for message in messages)
    return [{**first, "content": f"{system['content']}\n\n{first['content']}"}, *rest]
