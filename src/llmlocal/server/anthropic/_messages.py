"""``POST /v1/messages`` and ``/v1/messages/count_tokens``."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator
from functools import cache
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from llmlocal.server._answers import ChatJob, Piece, PieceKind
from llmlocal.server._http._body import read_fields
from llmlocal.server._http._events import GAP, Form, event_stream, sse
from llmlocal.server._http._patience import while_connected
from llmlocal.server._service import Service, service_of
from llmlocal.server.anthropic._options import message_options
from llmlocal.server.anthropic._shapes import (
    content_of,
    conversation,
    error_event,
    stop_of,
    tool_options,
    usage_of,
)

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["count_tokens", "messages"]

_HARMLESS = {"cache_control", "context_management", "metadata", "service_tier"}
_REFUSED = {
    "container": "this server runs no code",
    "mcp_servers": "list their tools, and pass them as tools",
}
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
    job = ChatJob(conversation(fields), message_options(fields) | tool_options(fields))
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


def _message(name: str) -> dict[str, Any]:
    """A message of which nothing has been written."""
    return {
        "id": f"msg_{secrets.token_hex(12)}",
        "type": "message",
        "role": "assistant",
        "model": name,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _EMPTY,
    }


async def _whole(service: Service, name: str, job: ChatJob) -> dict[str, Any]:
    async with service.model(name) as llm:
        [reply] = await job.replies(llm)
    service.metrics.answered(name, [reply])
    end = {**stop_of(reply), "usage": usage_of(reply)}
    return {**_message(name), "content": content_of(reply), **end}


async def _events(service: Service, name: str, job: ChatJob) -> AsyncGenerator[bytes, None]:
    blocks = _Blocks()

    @cache
    def form(index: int, kind: PieceKind) -> Form:
        return Form(_event("content_block_delta", index=index, delta=_delta(kind, GAP)))

    async with service.model(name) as llm:
        events = job.events(llm)
        begun = _event("message_start", message=_message(name))
        try:
            async for event in events:
                if not isinstance(event, Piece):
                    reply = event.reply
                elif event.kind == "call":
                    yield begun + blocks.call(event)
                    begun = b""
                else:
                    turn = begun + blocks.turn_to(event.kind)
                    yield turn + form(blocks.index, event.kind).filled(event.text)
                    begun = b""
        finally:
            await events.aclose()
    service.metrics.answered(name, [reply])
    end = _event("message_delta", delta=stop_of(reply), usage=usage_of(reply))
    yield begun + blocks.close() + end + _event("message_stop")


class _Blocks:
    """The blocks of a message, one after the other; its methods return the events of their borders.

    Attributes:
        index: Which one is being written, from 0.
    """

    def __init__(self) -> None:
        self.index = 0
        self._open: str | None = None  # Its type.

    def turn_to(self, kind: PieceKind) -> bytes:
        """Before a piece of this kind: nothing where the block that is being written is of it."""
        block = _BLOCKS[kind]
        return b"" if self._open == block["type"] else self._begin(block)

    def call(self, piece: Piece) -> bytes:
        """Where a call of a tool begins."""
        return self._begin({**_BLOCKS["call"], "id": piece.call_id, "name": piece.text})

    def _begin(self, block: dict[str, Any]) -> bytes:
        closed = self.close()
        self._open = block["type"]
        return closed + _event("content_block_start", index=self.index, content_block=block)

    def close(self) -> bytes:
        """At the end of the block that is being written, if there is one."""
        if self._open is None:
            return b""
        self._open = None
        self.index += 1
        return _event("content_block_stop", index=self.index - 1)


_BLOCKS: dict[PieceKind, dict[str, Any]] = {
    "answer": {"type": "text", "text": ""},
    "reasoning": {"type": "thinking", "thinking": "", "signature": ""},
    "call": {"type": "tool_use", "input": {}},
    "arguments": {"type": "tool_use"},  # Of the call that has begun.
}
_DELTAS: dict[PieceKind, tuple[str, str]] = {
    "answer": ("text_delta", "text"),
    "reasoning": ("thinking_delta", "thinking"),
    "arguments": ("input_json_delta", "partial_json"),
}


def _delta(kind: PieceKind, text: str) -> dict[str, Any]:
    delta, field = _DELTAS[kind]
    return {"type": delta, field: text}


def _event(kind: str, **fields: Any) -> bytes:
    return sse({"type": kind, **fields}, kind)
