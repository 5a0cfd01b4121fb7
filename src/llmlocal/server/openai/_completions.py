"""``POST /v1/completions``: texts are continued as they are, without a chat template."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from llmlocal.server._answers import Piece, TextJob, text_events, text_replies
from llmlocal.server._http._body import read_fields
from llmlocal.server._http._errors import refused
from llmlocal.server._http._events import event_stream, sse
from llmlocal.server._http._patience import while_connected
from llmlocal.server._service import Service, service_of
from llmlocal.server.openai._errors import error_event
from llmlocal.server.openai._logprobs import completion_logprobs
from llmlocal.server.openai._options import MOST_ANSWERS, sampling_options
from llmlocal.server.openai._shapes import FINGERPRINT, HARMLESS, finish_reason, usage_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from llmlocal import LLM, Completion
    from llmlocal.server._http._fields import Fields

__all__ = ["completions"]

_INT32_MAX = 2**31 - 1
_MOST_PROMPTS = 2048


async def completions(request: Request) -> Response:
    """Continue texts."""
    service = service_of(request)
    fields = await read_fields(request)
    name = service.name_of(fields.text("model"))
    job = _job(fields)
    echo = fields.flag("echo")
    if echo and job.options.get("logprobs") is not None:
        raise refused("logprobs", "those of a prompt are not to be had here; leave out echo")
    stream = fields.flag("stream")
    stream_options = fields.mapping("stream_options") or {}
    fields.finish(HARMLESS, {"suffix": "a text with a gap is for LLM.infill, in process"})
    head = {
        "id": f"cmpl-{secrets.token_hex(12)}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": name,
        "system_fingerprint": FINGERPRINT,
    }
    if stream:
        with_usage = bool(stream_options.get("include_usage"))
        events = _events(service, name, job, head, echo=echo, with_usage=with_usage)
        return await event_stream(request, events, error_event)
    return JSONResponse(await while_connected(request, _whole(service, name, job, head, echo=echo)))


def _job(fields: Fields) -> TextJob:
    prompts = _prompts(fields)
    options = sampling_options(fields)
    # 16 is OpenAI's default.
    options["max_tokens"] = fields.whole("max_tokens", 0, _INT32_MAX, 16)
    if (logprobs := fields.whole("logprobs", 0, 20)) is not None:
        options["logprobs"] = logprobs
    n = fields.whole("n", 1, MOST_ANSWERS, 1) or 1
    best_of = fields.whole("best_of", 1, MOST_ANSWERS, n)
    if best_of != n:
        raise fields.error("best_of", "must be n: answers are not compared here")
    return TextJob(prompts, options, n)


def _prompts(fields: Fields) -> list[str | list[int]]:
    prompt = fields.any("prompt")
    if isinstance(prompt, str):
        return [prompt]
    if not isinstance(prompt, list) or not prompt or len(prompt) > _MOST_PROMPTS:
        raise fields.error("prompt", "must be text, ids of tokens, or an array of either")
    if all(_is_token(each) for each in prompt):
        return [prompt]
    for each in prompt:
        is_ids = isinstance(each, list) and bool(each) and all(_is_token(token) for token in each)
        if not isinstance(each, str) and not is_ids:
            raise fields.error("prompt", f"must hold texts, or ids of tokens; got {each!r:.60}")
    return prompt


def _is_token(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _INT32_MAX


def _echoed(llm: LLM, job: TextJob, index: int, *, echo: bool) -> str:
    prompt = job.prompts[index // job.n]
    if not echo:
        return ""
    return prompt if isinstance(prompt, str) else llm.detokenize(prompt, special=True)


async def _whole(
    service: Service, name: str, job: TextJob, head: dict[str, Any], *, echo: bool
) -> dict[str, Any]:
    async with service.model(name) as llm:
        replies = await text_replies(llm, job)
        texts = [_echoed(llm, job, i, echo=echo) + str(reply) for i, reply in enumerate(replies)]
    service.metrics.answered(name, replies)
    choices = [
        _choice(i, text, finish_reason(reply), completion_logprobs(reply.logprobs))
        for i, (text, reply) in enumerate(zip(texts, replies, strict=True))
    ]
    return {**head, "choices": choices, "usage": usage_of(replies, len(job.prompts))}


async def _events(
    service: Service,
    name: str,
    job: TextJob,
    head: dict[str, Any],
    *,
    echo: bool,
    with_usage: bool,
) -> AsyncGenerator[bytes, None]:
    begun: set[int] = set()
    replies: dict[int, Completion] = {}
    async with service.model(name) as llm:
        events = text_events(llm, job)
        try:
            async for event in events:
                before = ""
                if event.index not in begun:
                    begun.add(event.index)
                    before = _echoed(llm, job, event.index, echo=echo)
                if isinstance(event, Piece):
                    choice = _choice(event.index, before + event.text, None)
                else:
                    replies[event.index] = event.reply
                    logprobs = completion_logprobs(event.reply.logprobs)
                    choice = _choice(event.index, before, finish_reason(event.reply), logprobs)
                yield sse({**head, "choices": [choice]})
        finally:
            await events.aclose()
    ordered = [replies[i] for i in sorted(replies)]
    service.metrics.answered(name, ordered)
    if with_usage:
        yield sse({**head, "choices": [], "usage": usage_of(ordered, len(job.prompts))})
    yield b"data: [DONE]\n\n"


def _choice(
    index: int, text: str, reason: str | None, logprobs: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}
