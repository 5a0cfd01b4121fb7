"""Anthropic's messages, tools and errors, to and from those of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmlocal._quote import quote
from llmlocal.server._http._errors import ApiError, refused
from llmlocal.server._http._events import as_json, sse
from llmlocal.server._http._fields import Fields

if TYPE_CHECKING:
    from llmlocal import ChatReply

__all__ = [
    "content_of",
    "conversation",
    "error_body",
    "error_event",
    "stop_of",
    "tool_options",
    "usage_of",
]

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


def conversation(fields: Fields) -> list[dict[str, Any]]:
    """The messages of a request, with the system's first."""
    given = fields.array("messages")
    if not given:
        raise fields.error("messages", "must hold at least one message")
    messages: list[dict[str, Any]] = []
    system = fields.any("system")
    if system:
        messages.append({"role": "system", "content": _text(system, "system")})
    for i, message in enumerate(given):
        where = f"messages[{i}]"
        if not isinstance(message, Mapping) or message.get("role") not in ("user", "assistant"):
            raise ApiError(
                400,
                f"{where} must have the role user or assistant; got {quote(message)}",
                param="messages",
            )
        add = _add_assistant if message["role"] == "assistant" else _add_user
        add(messages, message.get("content"), f"{where}.content")
    return messages


def _blocks(content: Any, where: str) -> list[Mapping[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list) or not all(isinstance(each, Mapping) for each in content):
        raise ApiError(
            400, f"{where} must be text, or blocks; got {quote(content)}", param="messages"
        )
    return content


def _text(content: Any, where: str) -> str:
    texts = []
    for block in _blocks(content, where):
        if block.get("type") != "text" or not isinstance(block.get("text"), str):
            raise refused(where, f"only text can be read here, got {quote(block.get('type'))}")
        texts.append(block["text"])
    return "".join(texts)


def _add_user(messages: list[dict[str, Any]], content: Any, where: str) -> None:
    texts: list[Mapping[str, Any]] = []
    for block in _blocks(content, where):
        if block.get("type") != "tool_result":
            texts.append(block)
            continue
        result = _text(block.get("content") or "", f"{where} (tool_result)")
        messages.append(
            {"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": result}
        )
    if texts:
        messages.append({"role": "user", "content": _text(texts, where)})


def _add_assistant(messages: list[dict[str, Any]], content: Any, where: str) -> None:
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    for block in _blocks(content, where):
        kind = block.get("type")
        if kind == "text" and isinstance(block.get("text"), str):
            message["content"] += block["text"]
        elif kind == "thinking":
            message["reasoning_content"] = str(block.get("thinking", ""))
        elif kind == "tool_use":
            function = {"name": block.get("name"), "arguments": as_json(block.get("input") or {})}
            call = {"id": block.get("id"), "type": "function", "function": function}
            message.setdefault("tool_calls", []).append(call)
        elif kind != "redacted_thinking":
            raise refused(where, f"a block {quote(kind)} is not known here")
    messages.append(message)


def tool_options(fields: Fields) -> dict[str, Any]:
    """Tools, and which of them may be called, as options of a chat."""
    tools = fields.array("tools") or []
    choice = fields.mapping("tool_choice") or {}
    if not tools:
        return {}
    options: dict[str, Any] = {
        "tools": [_tool(tool, f"tools[{i}]") for i, tool in enumerate(tools)]
    }
    inner = Fields(choice, "tool_choice.")
    kind = inner.one_of("type", ("auto", "any", "tool", "none"), "auto")
    if kind == "tool":
        options["tool_choice"] = inner.needed_text("name")
    else:
        options["tool_choice"] = {"any": "required"}.get(kind, kind)
    if inner.flag("disable_parallel_tool_use"):
        options["parallel_tool_calls"] = False
    return options


def _tool(tool: Any, where: str) -> dict[str, Any]:
    if not isinstance(tool, Mapping) or tool.get("type", "custom") != "custom":
        kind = tool.get("type") if isinstance(tool, Mapping) else tool
        raise refused(where, f"only tools of the client can be called here, got {quote(kind)}")
    function = {
        "name": tool.get("name"),
        "description": tool.get("description", ""),
        "parameters": tool.get("input_schema") or {"type": "object", "properties": {}},
    }
    return {"type": "function", "function": function}


def stop_of(reply: ChatReply) -> dict[str, Any]:
    """Why an answer ended."""
    reasons = {"length": "max_tokens", "timeout": "max_tokens", "tool_calls": "tool_use"}
    reason = reasons.get(reply.finish_reason, "end_turn")
    if reply.stop_match is not None:
        reason = "stop_sequence"
    return {"stop_reason": reason, "stop_sequence": reply.stop_match}


def usage_of(reply: ChatReply) -> dict[str, Any]:
    """Tokens; those from the cache count apart."""
    usage = reply.usage
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
    }


def content_of(reply: ChatReply) -> list[dict[str, Any]]:
    """An answer as blocks; a call that was cut short is none."""
    blocks: list[dict[str, Any]] = []
    if reply.reasoning:
        blocks.append({"type": "thinking", "thinking": reply.reasoning, "signature": ""})
    if reply:
        blocks.append({"type": "text", "text": str(reply)})
    for call in reply.tool_calls:
        block = {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
        blocks.append(block)
    return blocks


def error_body(error: ApiError) -> dict[str, Any]:
    """The body of a response that tells of an error."""
    kind = _TYPES.get(error.status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": error.message}}


def error_event(error: ApiError) -> bytes:
    """An error in the middle of a stream."""
    return sse(error_body(error), "error")
