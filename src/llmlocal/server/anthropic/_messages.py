"""``POST /v1/messages`` and ``/v1/messages/count_tokens``."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from llmlocal.server._answers import ChatJob, Piece, chat_events
from llmlocal.server._http._body import read_fields
from llmlocal.server._http._events import event_stream, sse
from llmlocal.server._http._patience import while_connected
from llmlocal.server._service import Service, service_of
from llmlocal.server.anthropic._shapes import (
    conversation,
    error_event,
    parsed,
    stop_of,
    tool_options,
    usage_of,
)

if TYPE_CHECKING:
    from starlette.requests import Request

    from llmlocal.server._http._fields import Fields

__all__ = ["count_tokens", "messages"]

_INT32_MAX = 2**31 - 1
_HARMLESS = {"metadata", "service_tier", "context_management", "output_config"}
_REFUSED = {
    "container": "this server runs no code",
    "mcp_servers": "list their tools, and pass them as tools",
}
_NUMBERS = {"temperature": "temp", "top_p": "top_p"}

_EMPTY: dict[str, Any] = {
    "input_tokens": 0,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 0,
}


async def messages(request: Request) -> Response:
    """Answer a conversation."""
    service = service_of(request)
    fields = await read_fields(request)
    name = service.name_of(fields.text("model"))
    job = _job(fields)
    stream = fields.flag("stream")
    fields.finish(_HARMLESS, _REFUSED)
    if stream:
        return await event_stream(request, _events(service, name, job), error_event)
    return JSONResponse(await while_connected(request, _whole(service, name, job)))


async def count_tokens(request: Request) -> Response:
    """How many tokens the prompt for a conversation has."""
    service = service_of(request)
    fields = await read_fields(request)
    name = service.name_of(fields.text("model"))
    turns = conversation(fields)
    tools = tool_options(fields).get("tools")
    async with service.model(name) as llm:

        def count() -> int:
            prompt = llm.render(turns, tools=tools)
            return len(llm.encode_segments(prompt.segments))

        return JSONResponse({"input_tokens": await asyncio.to_thread(count)})


def _job(fields: Fields) -> ChatJob:
    options: dict[str, Any] = {}
    limit = fields.whole("max_tokens", 0, _INT32_MAX)
    if limit is None:
        raise fields.error("max_tokens", "is missing")
    options["max_tokens"] = limit
    for theirs, ours in _NUMBERS.items():
        if (number := fields.number(theirs)) is not None:
            options[ours] = number
    if (top_k := fields.whole("top_k", 0, _INT32_MAX)) is not None:
        options["top_k"] = top_k
    if stops := fields.texts("stop_sequences"):
        options["stop"] = stops
    thinking = fields.mapping("thinking") or {}
    if thinking.get("type") == "disabled":
        options["variables"] = {"enable_thinking": False}
        options["reasoning_budget"] = 0
    elif isinstance(thinking.get("budget_tokens"), int):
        options["variables"] = {"enable_thinking": True}
        options["reasoning_budget"] = thinking["budget_tokens"]
    return ChatJob(conversation(fields), {**options, **tool_options(fields)})


async def _whole(service: Service, name: str, job: ChatJob) -> dict[str, Any]:
    blocks = Blocks()
    message: dict[str, Any] = {}
    async for kind, fields in _steps(service, name, job, blocks):
        if kind == "message_start":
            message = dict(fields["message"])
        elif kind == "message_delta":
            message |= {**fields["delta"], "usage": fields["usage"]}
    return {**message, "content": blocks.blocks}


async def _events(service: Service, name: str, job: ChatJob) -> AsyncGenerator[bytes, None]:
    async for kind, fields in _steps(service, name, job, Blocks()):
        yield sse({"type": kind, **fields}, kind)


async def _steps(
    service: Service, name: str, job: ChatJob, blocks: Blocks
) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
    message: dict[str, Any] = {
        "id": f"msg_{secrets.token_hex(12)}",
        "type": "message",
        "role": "assistant",
        "model": name,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _EMPTY,
    }
    async with service.model(name) as llm:
        events = chat_events(llm, job)
        try:
            is_begun = False
            async for event in events:
                if not is_begun:
                    is_begun = True
                    yield "message_start", {"message": message}
                if isinstance(event, Piece):
                    for step in blocks.take(event):
                        yield step
                else:
                    reply = event.reply
        finally:
            await events.aclose()
    for step in blocks.close():
        yield step
    service.metrics.answered(name, [reply])
    yield "message_delta", {"delta": stop_of(reply), "usage": usage_of(reply)}
    yield "message_stop", {}


class Blocks:
    """Takes pieces, yields events as ``(type, fields)``, and gathers the content's blocks.

    Attributes:
        blocks: The finished ones.
    """

    def __init__(self) -> None:
        self.blocks: list[dict[str, Any]] = []
        self._open: dict[str, Any] | None = None
        self._text = ""

    def take(self, piece: Piece) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events of a piece."""
        if piece.kind == "call":
            yield from self.close()
            block = {"type": "tool_use", "id": piece.call_id, "name": piece.text, "input": {}}
            yield from self._begin(block)
            return
        kind, field, delta = _KINDS[piece.kind]
        if self._open is None or self._open["type"] != kind:
            yield from self.close()
            empty = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}}
            yield from self._begin({"type": kind, **empty.get(kind, {})})
        self._text += piece.text
        change = {"type": delta, field: piece.text}
        yield "content_block_delta", {"index": len(self.blocks), "delta": change}

    def _begin(self, block: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        self._open, self._text = block, ""
        yield "content_block_start", {"index": len(self.blocks), "content_block": dict(block)}

    def close(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events at the end of the block that is being written, if there is one."""
        block = self._open
        if block is None:
            return
        if block["type"] == "tool_use":
            block["input"] = parsed(self._text)
        else:
            block[block["type"]] = self._text
        yield "content_block_stop", {"index": len(self.blocks)}
        if block.get("input", {}) is not None:
            self.blocks.append(block)
        self._open = None


_KINDS = {
    "answer": ("text", "text", "text_delta"),
    "reasoning": ("thinking", "thinking", "thinking_delta"),
    "arguments": ("tool_use", "partial_json", "input_json_delta"),
}
