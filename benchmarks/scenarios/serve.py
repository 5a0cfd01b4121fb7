"""Streams through the server: 1, 8 and 64 at once, and after one text, against the engine in process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.scenarios.scenario import Context, Metric, Scenario, Task
from benchmarks.scenarios.together import own_prompts
from benchmarks.session import Session
from benchmarks.systems import OURS, SERVED
from benchmarks.workloads import questions, text

__all__ = ["SERVE", "SHARED", "at_once"]

SHARED = "16 after one text"
_TOKENS = 48
_SHARED_WORDS = 700
_SYSTEMS = (OURS, SERVED, "llama-server")

Prompts = Callable[[int], list[str]]
"""The prompts of a round."""


def at_once(count: int) -> str:
    """What the rows of so many streams are called, after the system."""
    return f"{count} at once"


def _serve(context: Context) -> Sequence[Task]:
    works: dict[str, Prompts] = {
        at_once(1): lambda turn: own_prompts(1, turn),
        at_once(8): lambda turn: own_prompts(8, turn),
        SHARED: lambda turn: questions(16, text(_SHARED_WORDS, ("shared", turn))),
    }
    if not context.is_quick:
        works[at_once(64)] = lambda turn: own_prompts(64, turn)
    entrants = [each for each in context.entrants(n_ctx=2048) if each.system in _SYSTEMS]
    return [
        Task(f"{each.label}, {name}", each, _work(prompts))
        for name, prompts in works.items()
        for each in entrants
    ]


def _work(prompts: Prompts) -> Any:
    def work(session: Session, turn: int) -> dict[str, Any]:
        return session.ask("streams", prompts=prompts(turn), tokens=_TOKENS)

    return work


SERVE = Scenario(
    "serve",
    f"streams of {_TOKENS} tokens: 1, 8 and 64 at once, and 16 questions after one text of "
    f"{_SHARED_WORDS} words",
    (
        Metric("tokens_per_s", "tokens/s", "higher"),
        Metric("first_token_s", "s", "lower"),
        Metric("longest_gap_s", "s", "lower"),
        Metric("serving_us", "µs/token", "lower"),
    ),
    _serve,
    rounds=(7, 5),
)
