"""Conversations: how long the first token of a later turn takes, with nothing configured for it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.scenarios.scenario import Context, Metric, Scenario, Task
from benchmarks.session import Session
from benchmarks.workloads import turns

__all__ = ["CHAT", "INTERLEAVE"]

_METRICS = (Metric("first_token_s", "s", "lower"), Metric("seconds", "s", "lower"))
_WORDS_A_TURN = 60
_ANSWER_TOKENS = 24


def _talk(session: Session, seed: object, conversations: int, length: int) -> dict[str, Any]:
    """Conversations that take turns; the first turns are not counted, they have no past."""
    said = {
        f"{seed} {number}": turns(length, _WORDS_A_TURN, (seed, number))
        for number in range(conversations)
    }
    later: list[float] = []
    total = 0.0
    for turn in range(length):
        for name, texts in said.items():
            result = session.ask(
                "chat", conversation=name, text=texts[turn], max_tokens=_ANSWER_TOKENS
            )
            total += result["seconds"]
            if turn > 0:
                later.append(result["first_token_s"])
    return {
        "first_token_s": statistics.median(later),
        "longest_first_token_s": max(later),
        "seconds": total,
    }


def _chat(context: Context) -> Sequence[Task]:
    def work(session: Session, turn: int) -> dict[str, Any]:
        return _talk(session, ("chat", turn), 1, 6)

    return [Task(each.label, each, work) for each in context.entrants()]


def _interleave(context: Context) -> Sequence[Task]:
    def work(session: Session, turn: int) -> dict[str, Any]:
        return _talk(session, ("interleave", turn), 4, 3)

    return [Task(each.label, each, work) for each in context.entrants()]


CHAT = Scenario(
    "chat",
    f"a conversation of 6 turns of {_WORDS_A_TURN} words: first token of the later turns",
    _METRICS,
    _chat,
    rounds=(5, 3),
)
INTERLEAVE = Scenario(
    "interleave",
    "4 conversations of 3 turns that take turns: first token of the later turns",
    _METRICS,
    _interleave,
    rounds=(5, 3),
)
