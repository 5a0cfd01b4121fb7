"""A long prompt arrives while an answer is running: what that does to either."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.scenarios.scenario import Context, Metric, Scenario, Task
from benchmarks.session import Session
from benchmarks.workloads import counting, text

__all__ = ["ARRIVAL"]

_PROMPT_TOKENS = 2000
_ANSWER_TOKENS = 500  # The answer must still run when the prompt has been evaluated.
_BEFORE = 24


def _arrival(context: Context) -> Sequence[Task]:
    words = context.words_for(_PROMPT_TOKENS)

    def work(session: Session, turn: int) -> dict[str, Any]:
        return session.ask(
            "arrival",
            running=counting(1000 * turn + 1),
            alone=text(words, ("alone", turn)),
            arriving=text(words, ("arriving", turn)),
            tokens=_ANSWER_TOKENS,
            after=_BEFORE,
        )

    return [Task(each.label, each, work) for each in context.entrants()]


ARRIVAL = Scenario(
    "arrival",
    f"an answer is running when a prompt of {_PROMPT_TOKENS} tokens arrives: its longest gap, and "
    "the prompt's rate as a share of its rate alone",
    (
        Metric("longest_gap_s", "s", "lower"),
        Metric("normal_step_s", "s", "lower"),
        Metric("prompt_share", "of alone", "higher"),
        Metric("tokens_beside", "tokens", "higher"),
    ),
    _arrival,
    rounds=(5, 2),
)
