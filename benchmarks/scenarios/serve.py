"""Streams through the server: 1, 8 and 64 at once, against the same engine in process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.scenarios.scenario import Context, Metric, Scenario, Task
from benchmarks.scenarios.together import own_prompts
from benchmarks.session import Session
from benchmarks.systems import OURS, SERVED

__all__ = ["SERVE"]

_AT_ONCE = (1, 8, 64)
_TOKENS = 48
_SYSTEMS = (OURS, SERVED, "llama-server")


def _serve(context: Context) -> Sequence[Task]:
    def work_for(count: int) -> Any:
        def work(session: Session, turn: int) -> dict[str, Any]:
            return session.ask("streams", prompts=own_prompts(count, turn), tokens=_TOKENS)

        return work

    entrants = [each for each in context.entrants(n_ctx=512) if each.system in _SYSTEMS]
    return [
        Task(f"{each.label}, {count} at once", each, work_for(count))
        for count in _AT_ONCE
        for each in entrants
    ]


SERVE = Scenario(
    "serve",
    f"streams of {_TOKENS} tokens, each read by a client of its own: 1, 8 and 64 at once",
    (
        Metric("tokens_per_s", "tokens/s", "higher"),
        Metric("first_token_s", "s", "lower"),
        Metric("longest_gap_s", "s", "lower"),
    ),
    _serve,
    rounds=(5, 2),
)
