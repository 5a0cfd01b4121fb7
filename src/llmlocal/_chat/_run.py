"""The loop: the model answers, its calls are made, and it answers again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from llmlocal._chat._reply import ChatReply
from llmlocal._chat._tools import Caller, as_tools
from llmlocal._quote import quote
from llmlocal._templates import Message, Part
from llmlocal.errors import ParameterError

if TYPE_CHECKING:
    from llmlocal._chat._options import AnswerOptions, RunOptions
    from llmlocal._chat._session import ChatSession

    OnPart = Callable[[Part], object]

__all__ = ["arun_loop", "run_loop"]

Prompt = str | Message | Sequence[Message] | None
_DEFAULT_ROUNDS = 8
_OF_CALLER = ("execute", "on_call", "on_result", "on_error")


def run_loop(session: ChatSession, prompt: Prompt, options: RunOptions) -> ChatReply:
    """See :meth:`llmlocal.ChatSession.run`."""
    caller, on_part, rounds = _plan(session, options)
    for choice in rounds:
        reply = _answer(session, prompt, on_part, choice)
        if reply.finish_reason != "tool_calls":
            break
        # What was called is in the history, whatever comes next.
        session.history += caller.call_all(reply.tool_calls)
        prompt = None
    return reply


async def arun_loop(session: ChatSession, prompt: Prompt, options: RunOptions) -> ChatReply:
    """See :meth:`llmlocal.ChatSession.arun`."""
    caller, on_part, rounds = _plan(session, options)
    for choice in rounds:
        reply = await _aanswer(session, prompt, on_part, choice)
        if reply.finish_reason != "tool_calls":
            break
        session.history += await caller.acall_all(reply.tool_calls)
        prompt = None
    return reply


def _plan(
    session: ChatSession, options: RunOptions
) -> tuple[Caller, OnPart | None, list[AnswerOptions]]:
    """Who calls, who is told, and the options of each answer.

    A call that is required is made once, and the last answer calls nothing.
    """
    given: dict[str, Any] = {**options}
    most: object = given.pop("max_rounds", _DEFAULT_ROUNDS)
    if not isinstance(most, int) or isinstance(most, bool) or most < 1:
        raise ParameterError(f"max_rounds must be at least 1, got {quote(most)}")
    on_part = given.pop("on_part", None)
    settings = {name: given.pop(name) for name in _OF_CALLER if name in given}
    tools = given.get("tools")
    caller = Caller(
        session.own_tools if tools is None else as_tools(tools),
        is_parallel=given.pop("parallel", False),
        **settings,
    )
    caller.check()
    first = cast("AnswerOptions", given)
    later: AnswerOptions = {**first, "tool_choice": "auto"}
    last: AnswerOptions = {**first, "tool_choice": "none"}
    return caller, on_part, [first, *([later] * (most - 1)), last]


def _answer(
    session: ChatSession,
    prompt: Prompt,
    on_part: OnPart | None,
    options: AnswerOptions,
) -> ChatReply:
    if on_part is None:
        return session.generate(prompt, **options)
    with session.generate(prompt, streaming=True, **options) as stream:
        for part in stream.parts():
            on_part(part)
        return stream.result


async def _aanswer(
    session: ChatSession,
    prompt: Prompt,
    on_part: OnPart | None,
    options: AnswerOptions,
) -> ChatReply:
    if on_part is None:
        return await session.agenerate(prompt, **options)
    async with session.astream(prompt, **options) as stream:
        async for part in stream.parts():
            on_part(part)
        return await stream.result()
