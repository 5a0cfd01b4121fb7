"""The items of ``/v1/responses``: those that come in as messages, and answers as those that go out."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from llmlocal._quote import quote
from llmlocal.server._http._errors import ApiError, refused

__all__ = ["call_item", "messages_of", "new_id", "reasoning_item", "text_item", "text_part"]

_TEXT_PARTS = ("input_text", "output_text", "text")


def new_id(kind: str) -> str:
    """An id for an item, such as ``msg_...``."""
    return f"{kind}_{secrets.token_hex(16)}"


def messages_of(items: Iterable[Any]) -> list[dict[str, Any]]:
    """The conversation that input items are.

    Raises:
        ApiError: 400 for an item that this server does not know.
    """
    messages: list[dict[str, Any]] = []
    for i, item in enumerate(items):
        where = f"input[{i}]"
        if not isinstance(item, Mapping):
            raise ApiError(400, f"{where} must be an object; got {quote(item)}", param="input")
        kind = item.get("type", "message")
        if kind == "message":
            messages.append(_message(item, where))
        elif kind == "function_call":
            _add_call(messages, item, where)
        elif kind == "function_call_output":
            output = _text(item.get("output"), f"{where}.output")
            messages.append(
                {"role": "tool", "tool_call_id": item.get("call_id"), "content": output}
            )
        elif kind == "reasoning":
            _add_reasoning(messages, item)
        else:
            raise refused(f"{where}.type", f"{quote(kind)} is not known here")
    return messages


def _message(item: Mapping[str, Any], where: str) -> dict[str, Any]:
    role = item.get("role")
    if not isinstance(role, str):
        raise ApiError(400, f"{where}.role must be a string; got {quote(role)}", param="input")
    return {
        "role": "system" if role == "developer" else role,
        "content": _text(item.get("content"), f"{where}.content"),
    }


def _text(content: Any, where: str) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise ApiError(400, f"{where} must be text; got {quote(content)}", param="input")
    texts = []
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else part
        if kind not in _TEXT_PARTS or not isinstance(part.get("text"), str):
            raise refused(where, f"only text can be read here, got {quote(kind)}")
        texts.append(part["text"])
    return "".join(texts)


def _add_call(messages: list[dict[str, Any]], item: Mapping[str, Any], where: str) -> None:
    name, arguments = item.get("name"), item.get("arguments", "{}")
    if not isinstance(name, str) or not isinstance(arguments, str):
        raise ApiError(400, f"{where} must have a name and arguments, as text", param="input")
    call = {
        "id": item.get("call_id"),
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }
    # Calls of one turn are one message.
    if messages and messages[-1]["role"] == "assistant":
        messages[-1].setdefault("tool_calls", []).append(call)
    else:
        messages.append({"role": "assistant", "content": "", "tool_calls": [call]})


def _add_reasoning(messages: list[dict[str, Any]], item: Mapping[str, Any]) -> None:
    parts = item.get("content") or []
    text = "".join(part.get("text", "") for part in parts if isinstance(part, Mapping))
    if text:
        messages.append({"role": "assistant", "content": "", "reasoning_content": text})


def text_part(text: str, logprobs: list[dict[str, Any]]) -> dict[str, Any]:
    """The text of an answer."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def text_item(
    text: str, status: str, item_id: str, logprobs: list[dict[str, Any]]
) -> dict[str, Any]:
    """An answer as an output item."""
    part = text_part(text, logprobs)
    return {
        "type": "message",
        "id": item_id,
        "status": status,
        "role": "assistant",
        "content": [part] if status != "in_progress" else [],
    }


def reasoning_item(text: str, status: str, item_id: str) -> dict[str, Any]:
    """Reasoning as an output item."""
    content = [{"type": "reasoning_text", "text": text}] if status != "in_progress" else []
    return {
        "type": "reasoning",
        "id": item_id,
        "status": status,
        "summary": [],
        "content": content,
    }


def call_item(name: str, arguments: str, call_id: str, status: str, item_id: str) -> dict[str, Any]:
    """A call of a function as an output item."""
    return {
        "type": "function_call",
        "id": item_id,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
        "status": status,
    }
