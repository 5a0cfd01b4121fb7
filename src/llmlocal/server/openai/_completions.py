"""``POST /v1/completions``: texts are continued as they are, without a chat template."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from llmlocal.server._answers import Piece, TextJob, infill_prompt, together
from llmlocal.server._http._body import read_fields
from llmlocal.server._http._errors import refused
from llmlocal.server._http._events import GAP, Form, event_stream, sse
from llmlocal.server._http._patience import while_connected
from llmlocal.server._service import Service, service_of
from llmlocal.server.openai._constraints import constraint_options
from llmlocal.server.openai._echo import NO_ECHO, Echo, echo_of
from llmlocal.server.openai._errors import error_event
from llmlocal.server.openai._logprobs import completion_logprobs
from llmlocal.server.openai._options import MOST_ANSWERS, REFUSED, limit_of, sampling_options
from llmlocal.server.openai._prompts import MOST_PROMPTS, prompts_of
from llmlocal.server.openai._shapes import DONE, FINGERPRINT, HARMLESS, finish_reason, usage_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from llmlocal import LLM, Completion
    from llmlocal.server._http._fields import Fields

__all__ = ["completions"]


async def completions(request: Request) -> Response:
    """Continue texts."""
    service = service_of(request)
    fields = await read_fields(request)
    name = service.name_of(fields.text("model"))
    job = _job(fields)
    stream = fields.flag("stream")
    stream_options = fields.mapping("stream_options") or {}
    fields.finish(HARMLESS, REFUSED)
    head = {
        "id": f"cmpl-{secrets.token_hex(12)}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": name,
        "system_fingerprint": FINGERPRINT,
    }
    if stream:
        with_usage = bool(stream_options.get("include_usage"))
        events = _events(service, name, job, head, with_usage=with_usage)
        return await event_stream(request, events, error_event)
    return JSONResponse(await while_connected(request, _whole(service, name, job, head)))


@dataclass(frozen=True)
class _Job:
    """What is asked for.

    Attributes:
        prompts: Texts, or ids of tokens.
        options: As :meth:`llmlocal.LLM.generate` takes them.
        n: How many answers to each.
        echo: Whether the prompt comes before each answer.
        suffix: What comes after the gap that is to be filled; None where texts are continued.
    """

    prompts: Sequence[str | list[int]]
    options: Mapping[str, Any]
    n: int
    echo: bool
    suffix: str | None

    def text_job(self, llm: LLM) -> TextJob:
        """The same, as what the model is asked."""
        if self.suffix is None:
            return TextJob(self.prompts, self.options, self.n)
        filled = [infill_prompt(llm, str(prompt), self.suffix) for prompt in self.prompts]
        return TextJob(filled, self.options, self.n)

    async def echoes(self, llm: LLM) -> list[Echo]:
        """What comes before each answer."""
        if not self.echo:
            return [NO_ECHO] * (len(self.prompts) * self.n)
        logprobs = self.options.get("logprobs")
        found = await together([echo_of(llm, prompt, logprobs) for prompt in self.prompts])
        return [echo for echo in found for _ in range(self.n)]


def _job(fields: Fields) -> _Job:
    prompts = prompts_of(fields, "prompt")
    options = sampling_options(fields)
    # 16 is OpenAI's default.
    options["max_tokens"] = limit_of(fields, 16)
    if (logprobs := fields.whole("logprobs", 0, 20)) is not None:
        options["logprobs"] = logprobs
    options |= constraint_options(fields)
    n = fields.whole("n", 1, MOST_ANSWERS, 1) or 1
    if len(prompts) * n > MOST_PROMPTS:
        raise fields.error("n", f"times {len(prompts)} prompts is more than {MOST_PROMPTS} answers")
    best_of = fields.whole("best_of", 1, MOST_ANSWERS, n)
    if best_of != n:
        raise fields.error("best_of", "must be n: answers are not compared here")
    echo = fields.flag("echo")
    suffix = fields.text("suffix") or None  # An empty one is none, as with OpenAI.
    if suffix is not None and not all(isinstance(prompt, str) for prompt in prompts):
        raise fields.error("suffix", "needs a prompt that is text")
    if suffix is not None and echo and logprobs is not None:
        raise refused("suffix", "a prompt with a gap has no logprobs; leave out echo, or logprobs")
    return _Job(prompts, options, n, echo, suffix)


async def _whole(service: Service, name: str, job: _Job, head: dict[str, Any]) -> dict[str, Any]:
    async with service.model(name) as llm:
        echoes = await job.echoes(llm)  # First: the answers adopt what was evaluated for them.
        replies = await job.text_job(llm).replies(llm)
    service.metrics.answered(name, replies)
    choices = [
        _choice(i, echo.text + str(reply), finish_reason(reply), _logprobs_of(echo, reply))
        for i, (echo, reply) in enumerate(zip(echoes, replies, strict=True))
    ]
    return {**head, "choices": choices, "usage": usage_of(replies, len(job.prompts))}


async def _events(
    service: Service, name: str, job: _Job, head: dict[str, Any], *, with_usage: bool
) -> AsyncGenerator[bytes, None]:
    replies: dict[int, Completion] = {}

    @cache
    def form(index: int) -> Form:
        return Form(sse({**head, "choices": [_choice(index, GAP, None)]}))

    async with service.model(name) as llm:
        echoes = await job.echoes(llm)
        for i, echo in enumerate(echoes if job.echo else ()):
            tokens = echo.scored if job.options.get("logprobs") is not None else None
            logprobs = completion_logprobs(tokens, unscored=echo.unscored)
            yield sse({**head, "choices": [_choice(i, echo.text, None, logprobs)]})
        offsets = [len(echo.text) for echo in echoes]
        events = job.text_job(llm).events(llm)
        try:
            async for event in events:
                i = event.index
                if isinstance(event, Piece) and not event.logprobs:
                    yield form(i).filled(event.text)
                    continue
                logprobs = completion_logprobs(event.logprobs or None, offset=offsets[i])
                offsets[i] += sum(len(token.text) for token in event.logprobs)
                if isinstance(event, Piece):
                    choice = _choice(i, event.text, None, logprobs)
                else:
                    replies[i] = event.reply
                    choice = _choice(i, "", finish_reason(event.reply), logprobs)
                last = sse({**head, "choices": [choice]})
                if len(replies) < len(echoes):
                    yield last
        finally:
            await events.aclose()
    ordered = [replies[i] for i in sorted(replies)]
    service.metrics.answered(name, ordered)
    if with_usage:
        last += sse({**head, "choices": [], "usage": usage_of(ordered, len(job.prompts))})
    yield last + DONE


def _logprobs_of(echo: Echo, reply: Completion) -> dict[str, Any] | None:
    if reply.logprobs is None:
        return None
    return completion_logprobs([*echo.scored, *reply.logprobs], unscored=echo.unscored)


def _choice(
    index: int, text: str, reason: str | None, logprobs: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}
