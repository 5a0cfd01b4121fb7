"""``POST /api/chat`` and ``/api/generate``."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from llmlocal.server._answers import (
    ChatJob,
    Event,
    Piece,
    TextJob,
    chat_events,
    infill_prompt,
    text_events,
)
from llmlocal.server._http._body import read_fields
from llmlocal.server._http._events import json_lines
from llmlocal.server._http._patience import while_connected
from llmlocal.server._service import Service, service_of
from llmlocal.server.ollama._shapes import (
    chat_messages,
    error_body,
    figures,
    generation_options,
    keep_alive,
    now,
    take_thinking,
)
from llmlocal.server.openai._logprobs import token_logprobs

if TYPE_CHECKING:
    from starlette.requests import Request

    from llmlocal import LLM
    from llmlocal.server._http._fields import Fields

__all__ = ["chat", "generate"]

_HARMLESS = {"truncate", "shift"}
_REFUSED = {
    "context": "send the conversation as messages",
    "images": "this server reads no images",
    "template": "the model's own template is used; or send raw: true",
}

Lines = AsyncGenerator[dict[str, Any], None]
Start = Callable[["LLM"], AsyncGenerator[Event, None]]


async def chat(request: Request) -> Response:
    """Answer a conversation."""
    service = service_of(request)
    fields = await read_fields(request)
    name = service.name_of(fields.needed_text("model"))
    messages = chat_messages(fields)
    options = generation_options(fields)
    take_thinking(fields, options)
    if tools := fields.array("tools"):
        options["tools"] = tools
    if not messages:
        return await _load_only(request, service, name, fields, {"message": _message("")})
    job = ChatJob(messages, options)
    return await _answer(request, service, name, fields, lambda llm: chat_events(llm, job), _delta)


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
        return await _load_only(request, service, name, fields, {"response": ""})

    def start(llm: LLM) -> AsyncGenerator[Event, None]:
        if suffix:
            filled = infill_prompt(llm, prompt, suffix)
            return text_events(llm, TextJob([filled], options))
        if is_raw or not llm.chat_template():
            return text_events(llm, TextJob([prompt], options))
        head = [{"role": "system", "content": system}] if system else []
        return chat_events(llm, ChatJob([*head, {"role": "user", "content": prompt}], options))

    if not is_raw and not suffix:
        take_thinking(fields, options)
    return await _answer(request, service, name, fields, start, _response)


async def _answer(
    request: Request,
    service: Service,
    name: str,
    fields: Fields,
    start: Start,
    shape: Callable[[Piece | None], dict[str, Any]],
) -> Response:
    stream = fields.flag("stream", default=True)
    alive = keep_alive(fields)
    fields.finish(_HARMLESS, _REFUSED)
    lines = _lines(service, name, start, shape, alive)
    if stream:
        return await json_lines(request, lines, error_body)
    return JSONResponse(await while_connected(request, _joined(lines)))


async def _load_only(
    request: Request, service: Service, name: str, fields: Fields, empty: dict[str, Any]
) -> Response:
    """A request without anything to answer loads the model; or unloads it, with ``keep_alive: 0``."""
    fields.flag("stream")
    alive = keep_alive(fields)
    fields.finish(_HARMLESS, {})
    done = {"model": name, "created_at": now(), **empty, "done": True}
    if alive == 0:
        service.pool.unload(name)
        return JSONResponse({**done, "done_reason": "unload"})

    async def load() -> None:
        async with service.model(name, keep_alive=alive):
            pass

    await while_connected(request, load())
    return JSONResponse({**done, "done_reason": "load"})


async def _lines(
    service: Service,
    name: str,
    start: Start,
    shape: Callable[[Piece | None], dict[str, Any]],
    alive: float | None,
) -> Lines:
    started = time.perf_counter()
    async with service.model(name, keep_alive=alive) as llm:
        loaded = time.perf_counter()
        events = start(llm)
        try:
            async for event in events:
                if not isinstance(event, Piece):
                    reply, rest = event.reply, _logprobs(event)
                elif event.kind in ("answer", "reasoning"):
                    line = {"model": name, "created_at": now(), **shape(event), "done": False}
                    yield line | _logprobs(event)
        finally:
            await events.aclose()
    service.metrics.answered(name, [reply])
    head = {"model": name, "created_at": now()}
    if calls := _called(reply):
        yield {**head, "message": {**_message(""), "tool_calls": calls}, "done": False}
    yield {
        **head,
        **shape(None),
        **rest,
        "done": True,
        "done_reason": "length" if reply.finish_reason in ("length", "timeout") else "stop",
        **figures(reply, started, loaded),
    }


def _logprobs(event: Event) -> dict[str, Any]:
    return {"logprobs": token_logprobs(event.logprobs)} if event.logprobs else {}


def _called(reply: Any) -> list[dict[str, Any]]:
    """The calls that are whole: one that was cut short has no arguments to show."""
    return [
        {"function": {"name": call.name, "arguments": call.arguments}}
        for call in getattr(reply, "tool_calls", ())
    ]


async def _joined(lines: Lines) -> dict[str, Any]:
    """All lines as one."""
    texts: dict[str, str] = {}
    logprobs: list[dict[str, Any]] = []
    message: dict[str, Any] = {}
    last: dict[str, Any] = {}
    async for line in lines:
        last = line
        logprobs += line.get("logprobs", ())
        for key in ("response", "thinking"):
            texts[key] = texts.get(key, "") + line.get(key, "")
        for key, value in line.get("message", {}).items():
            joins = key in ("content", "thinking")
            message[key] = message.get(key, "") + value if joins else value
    if logprobs:
        last = {**last, "logprobs": logprobs}
    if message:
        return {**last, "message": message}
    return {**last, **{key: text for key, text in texts.items() if text or key == "response"}}


def _message(content: str) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def _delta(piece: Piece | None) -> dict[str, Any]:
    if piece is None or piece.kind == "answer":
        return {"message": _message(piece.text if piece else "")}
    return {"message": {**_message(""), "thinking": piece.text}}


def _response(piece: Piece | None) -> dict[str, Any]:
    if piece is None or piece.kind == "answer":
        return {"response": piece.text if piece else ""}
    return {"response": "", "thinking": piece.text}
