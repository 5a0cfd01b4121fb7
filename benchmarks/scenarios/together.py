"""Requests that arrive together: with prompts of their own, and with one long text in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.scenarios.scenario import Context, Metric, Scenario, Task
from benchmarks.session import Session
from benchmarks.systems import LIMIT, Entrant
from benchmarks.workloads import counting, questions, text

__all__ = ["BATCHED", "CONCURRENT", "PREFIX"]

BATCHED = "llama-batched-bench"
SHARED_LIMIT = "llama-batched-bench, without the questions"
_REQUESTS = 16
_AT_ONCE = 8
_ANSWER_TOKENS = 64
_SHARED_WORDS = 700
_SHORT_ANSWER_TOKENS = 32


def own_prompts(count: int, turn: int) -> list[str]:
    """Short prompts that differ from the first words on."""
    return [
        f"{text(6, (turn, number))} {counting(100 * turn + 7 * number + 1)}"
        for number in range(count)
    ]


def _concurrent(context: Context) -> Sequence[Task]:
    prompt_tokens = context.counts([own_prompts(1, 1)[0]])[0]

    def work_for(system: str) -> Any:
        extra = {"prompt_tokens": prompt_tokens, "at_once": _AT_ONCE} if system == LIMIT else {}

        def work(session: Session, turn: int) -> dict[str, Any]:
            prompts = own_prompts(_REQUESTS, turn)
            return session.ask("together", prompts=prompts, tokens=_ANSWER_TOKENS, **extra)

        return work

    return [
        Task(BATCHED if each.system == LIMIT else each.label, each, work_for(each.system))
        for each in context.entrants(without=(), n_ctx=1024, n_parallel=_AT_ONCE)
    ]


def _prefix(context: Context) -> Sequence[Task]:
    def work(session: Session, turn: int) -> dict[str, Any]:
        prompts = questions(_REQUESTS, text(_SHARED_WORDS, ("shared", turn)))
        return session.ask("together", prompts=prompts, tokens=_SHORT_ANSWER_TOKENS)

    tasks = [
        Task(each.label, each, work) for each in context.entrants(n_ctx=2048, n_parallel=_AT_ONCE)
    ]
    if LIMIT in context.systems:
        tasks.append(_shared_limit(context))
    return tasks


def _shared_limit(context: Context) -> Task:
    """What the text and the answers alone take; the questions are left out."""
    prompt_tokens = context.counts([text(_SHARED_WORDS, "shared")])[0]

    def work(session: Session, turn: int) -> dict[str, Any]:
        del turn
        return session.ask(
            "together",
            prompts=[""] * _REQUESTS,
            tokens=_SHORT_ANSWER_TOKENS,
            prompt_tokens=prompt_tokens,
            at_once=_AT_ONCE,
            shares_prompt=True,
        )

    return Task(SHARED_LIMIT, Entrant(SHARED_LIMIT, LIMIT, context.settings()), work)


CONCURRENT = Scenario(
    "concurrent",
    f"{_REQUESTS} requests of {_ANSWER_TOKENS} tokens that arrive together, {_AT_ONCE} at a time",
    (Metric("tokens_per_s", "tokens/s", "higher"), Metric("seconds", "s", "lower")),
    _concurrent,
    rounds=(5, 2),
)
PREFIX = Scenario(
    "prefix",
    f"{_REQUESTS} questions of {_SHORT_ANSWER_TOKENS} tokens after one text of {_SHARED_WORDS} "
    "words, that arrive together",
    (Metric("seconds", "s", "lower"), Metric("tokens_per_s", "tokens/s", "higher")),
    _prefix,
    rounds=(5, 2),
)
