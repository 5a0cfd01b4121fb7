"""``POST /api/chat`` and ``/api/generate``."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from llmlocal.server._answers import ChatJob, Piece, PieceKind, TextJob, infill_prompt
from llmlocal.server._http._body import read_fields
from llmlocal.server._http._events import GAP, Form, json_line, json_lines
from llmlocal.server._http._patience import while_connected
from llmlocal.server._service import Service, service_of
from llmlocal.server.ollama._shapes import (
    calls_of,
    chat_messages,
    error_line,
    figures,
    generation_options,
    keep_alive,
    now,
    take_thinking,
)
from llmlocal.server.openai._logprobs import token_logprobs

if TYPE_CHECKING:
    from starlette.requests import Request

    from llmlocal import LLM, Completion, TokenLogprob
    from llmlocal.server._http._fields import Fields

__all__ = ["chat", "generate"]

_HARMLESS = {"truncate", "shift"}
_REFUSED = {
    "context": "send the conversation as messages",
    "images": "this server reads no images",
    "template": "the model's own template is used; or send raw: true",
}

Job = ChatJob | TextJob
Shape = Callable[..., dict[str, Any]]
"""Takes a text, thoughts and calls of tools; returns how the endpoint tells of them."""


async def chat(request: Request) -> Response:
    """Answer a conversation."""
    service = service_of(request)
    fields = await read_fields(request)
    name = service.name_of(fields.needed_text("model"))
    messages = chat_messages(fields)
    options = generation_options(fields)
    take_thinking(fields, options)
    if fields.flag("truncate", default=True):
        options["overflow"] = "drop_oldest"
    if tools := fields.array("tools"):
        options["tools"] = tools
    if not messages:
        return await _load_only(request, service, name, fields, _message)
    job = ChatJob(messages, options)
    return await _answer(request, service, name, fields, lambda _: job, _message)


async def generate(request: Request) -> Response:
    """Continue a prompt, or answer it through the model's template."""
    service = service_of(request)
    fields = await read_fields(request)
    name = service.name_of(fields.needed_text("model"))
    prompt = fields.text("prompt") or ""
    system = fields.text("system")
    suffix = fields.text("suffix")
    is_raw = fields.flag("raw")
    options = generation_options(fields)
    if not prompt:
        return await _load_only(request, service, name, fields, _response)

    def job(llm: LLM) -> Job:
        if suffix:
            return TextJob([infill_prompt(llm, prompt, suffix)], options)
        if is_raw or not llm.chat_template():
            return TextJob([prompt], options)
        head = [{"role": "system", "content": system}] if system else []
        return ChatJob([*head, {"role": "user", "content": prompt}], options)

    if not is_raw and not suffix:
        take_thinking(fields, options)
    return await _answer(request, service, name, fields, job, _response)


async def _answer(
    request: Request,
    service: Service,
    name: str,
    fields: Fields,
    job: Callable[[LLM], Job],
    shape: Shape,
) -> Response:
    stream = fields.flag("stream", default=True)
    alive = keep_alive(fields)
    fields.finish(_HARMLESS, _REFUSED)
    if stream:
        return await json_lines(request, _lines(service, name, job, shape, alive), error_line)
    whole = _whole(service, name, job, shape, alive)
    return JSONResponse(await while_connected(request, whole))


async def _load_only(
    request: Request, service: Service, name: str, fields: Fields, shape: Shape
) -> Response:
    """A request without anything to answer loads the model; or unloads it, with ``keep_alive: 0``."""
    fields.flag("stream")
    alive = keep_alive(fields)
    fields.finish(_HARMLESS, {})
    done = {"model": name, "created_at": now(), **shape(), "done": True}
    if alive == 0:
        service.pool.unload(name)
        return JSONResponse({**done, "done_reason": "unload"})

    async def load() -> None:
        async with service.model(name, keep_alive=alive):
            pass

    await while_connected(request, load())
    return JSONResponse({**done, "done_reason": "load"})


async def _whole(
    service: Service, name: str, job: Callable[[LLM], Job], shape: Shape, alive: float | None
) -> dict[str, Any]:
    started = time.perf_counter()
    async with service.model(name, keep_alive=alive) as llm:
        loaded = time.perf_counter()
        [reply] = await job(llm).replies(llm)
    service.metrics.answered(name, [reply])
    told = shape(str(reply), getattr(reply, "reasoning", ""), calls_of(reply))
    scored = _scored(reply.logprobs or ())
    return {"model": name, "created_at": now(), **told, **scored, **_end(reply, started, loaded)}


async def _lines(
    service: Service, name: str, job: Callable[[LLM], Job], shape: Shape, alive: float | None
) -> AsyncGenerator[bytes, None]:
    started = time.perf_counter()

    def line(told: dict[str, Any], at: str, **more: Any) -> bytes:
        return json_line({"model": name, "created_at": at, **told, "done": False, **more})

    @cache
    def form(kind: PieceKind) -> Form:
        return Form(line(_told(shape, kind, GAP), GAP))

    async with service.model(name, keep_alive=alive) as llm:
        loaded = time.perf_counter()
        events = job(llm).events(llm)
        try:
            async for event in events:
                scored = _scored(event.logprobs)
                if not isinstance(event, Piece):
                    reply = event.reply
                elif event.kind not in ("answer", "reasoning"):
                    pass  # Calls are told whole, at the end.
                elif scored:
                    yield line(_told(shape, event.kind, event.text), now(), **scored)
                else:
                    yield form(event.kind).filled(now(), event.text)
        finally:
            await events.aclose()
    service.metrics.answered(name, [reply])
    calls = calls_of(reply)
    called = line(shape(calls=calls), now()) if calls else b""
    yield called + line(shape(), now(), **scored, **_end(reply, started, loaded))


def _end(reply: Completion, started: float, loaded: float) -> dict[str, Any]:
    reason = "length" if reply.finish_reason in ("length", "timeout") else "stop"
    return {"done": True, "done_reason": reason, **figures(reply, started, loaded)}


def _scored(tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
    return {"logprobs": token_logprobs(tokens)} if tokens else {}


def _told(shape: Shape, kind: PieceKind, text: str) -> dict[str, Any]:
    return shape(text) if kind == "answer" else shape("", text)


def _message(
    text: str = "", thinking: str = "", calls: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if thinking:
        message["thinking"] = thinking
    if calls:
        message["tool_calls"] = calls
    return {"message": message}


def _response(
    text: str = "", thinking: str = "", _: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    return {"response": text, "thinking": thinking} if thinking else {"response": text}
