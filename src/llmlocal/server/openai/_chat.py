"""``POST /v1/chat/completions``."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from llmlocal.server._answers import ChatJob, Event, Piece, PieceKind
from llmlocal.server._http._body import read_fields
from llmlocal.server._http._events import GAP, Form, event_stream, sse
from llmlocal.server._http._patience import while_connected
from llmlocal.server._service import Service, service_of
from llmlocal.server.openai._errors import error_event
from llmlocal.server.openai._logprobs import chat_logprobs
from llmlocal.server.openai._options import MOST_ANSWERS, REFUSED, chat_options
from llmlocal.server.openai._shapes import (
    DONE,
    FINGERPRINT,
    HARMLESS,
    finish_reason,
    message_of,
    usage_of,
)

if TYPE_CHECKING:
    from typing import TypeGuard

    from starlette.requests import Request

    from llmlocal import TokenLogprob
    from llmlocal.server._http._fields import Fields

__all__ = ["chat_completions"]

_REFUSED = {
    **REFUSED,
    "best_of": "answers are not compared here; use n",
    "audio": "this server makes no sound",
    "functions": "use tools",
    "function_call": "use tool_choice",
    "web_search_options": "this server does not search the web",
}


async def chat_completions(request: Request) -> Response:
    """Answer a conversation."""
    service = service_of(request)
    fields = await read_fields(request)
    name = service.name_of(fields.text("model"))
    job = _job(fields)
    stream = fields.flag("stream")
    with_usage = _with_usage(fields, stream=stream)
    fields.finish(HARMLESS, _REFUSED)
    head = {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "created": int(time.time()),
        "model": name,
        "system_fingerprint": FINGERPRINT,
    }
    if stream:
        events = _events(service, name, job, head, with_usage=with_usage)
        return await event_stream(request, events, error_event)
    return JSONResponse(await while_connected(request, _whole(service, name, job, head)))


def _job(fields: Fields) -> ChatJob:
    messages = fields.array("messages")
    if not messages:
        raise fields.error("messages", "must hold at least one message")
    modalities = fields.array("modalities")
    if modalities and modalities != ["text"]:
        raise fields.error("modalities", "this server answers in text only")
    n = fields.whole("n", 1, MOST_ANSWERS, 1) or 1
    return ChatJob(messages, chat_options(fields), n)


def _with_usage(fields: Fields, *, stream: bool) -> bool:
    options = fields.mapping("stream_options")
    if options is None:
        return False
    if not stream:
        raise fields.error("stream_options", "needs stream: true")
    return bool(options.get("include_usage"))


async def _whole(service: Service, name: str, job: ChatJob, head: dict[str, Any]) -> dict[str, Any]:
    async with service.model(name) as llm:
        replies = await job.replies(llm)
    service.metrics.answered(name, replies)
    choices = [
        {
            "index": i,
            "message": message_of(reply),
            "logprobs": chat_logprobs(reply.logprobs),
            "finish_reason": finish_reason(reply),
        }
        for i, reply in enumerate(replies)
    ]
    return {**head, "object": "chat.completion", "choices": choices, "usage": usage_of(replies)}


async def _events(
    service: Service, name: str, job: ChatJob, head: dict[str, Any], *, with_usage: bool
) -> AsyncGenerator[bytes, None]:
    head = {**head, "object": "chat.completion.chunk"}
    begun: set[int] = set()
    replies = []

    def chunk(choices: Sequence[dict[str, Any]], **more: Any) -> bytes:
        usage = {"usage": None} if with_usage else {}
        return sse({**head, "choices": choices, **usage, **more})

    @cache
    def form(index: int, kind: PieceKind, call: int) -> Form:
        return Form(chunk([_choice(index, _delta(Piece(index, kind, GAP, call)), None)]))

    async with service.model(name) as llm:
        events = job.events(llm)
        try:
            async for event in events:
                if _is_plain(event) and event.index in begun:
                    yield form(event.index, event.kind, event.call).filled(event.text)
                    continue
                delta: dict[str, Any] = {}
                if event.index not in begun:
                    begun.add(event.index)
                    delta["role"] = "assistant"
                if isinstance(event, Piece):
                    delta |= _delta(event)
                    yield chunk([_choice(event.index, delta, None, event.logprobs)])
                else:
                    replies.append(event.reply)
                    if "role" in delta:
                        delta["content"] = ""
                    reason = finish_reason(event.reply)
                    last = chunk([_choice(event.index, delta, reason, event.logprobs)])
                    if len(replies) < job.n:
                        yield last
        finally:
            await events.aclose()
    service.metrics.answered(name, replies)
    if with_usage:
        last += chunk([], usage=usage_of(replies))
    yield last + DONE


def _is_plain(event: Event) -> TypeGuard[Piece]:
    """Whether it is like the others of its kind but for the text."""
    return isinstance(event, Piece) and event.kind != "call" and not event.logprobs


def _delta(piece: Piece) -> dict[str, Any]:
    if piece.kind == "answer":
        return {"content": piece.text}
    if piece.kind == "reasoning":
        return {"reasoning_content": piece.text}
    call: dict[str, Any] = {"index": piece.call}
    if piece.kind == "call":
        function = {"name": piece.text, "arguments": ""}
        call |= {"id": piece.call_id, "type": "function", "function": function}
    else:
        call["function"] = {"arguments": piece.text}
    return {"tool_calls": [call]}


def _choice(
    index: int, delta: dict[str, Any], reason: str | None, logprobs: Sequence[TokenLogprob] = ()
) -> dict[str, Any]:
    scored = chat_logprobs(logprobs or None)
    return {"index": index, "delta": delta, "logprobs": scored, "finish_reason": reason}
