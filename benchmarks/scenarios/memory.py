"""Whether memory stays flat: models loaded and closed many times, and many requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.scenarios.scenario import Context, Metric, Scenario, Task
from benchmarks.scenarios.together import own_prompts
from benchmarks.session import Session
from benchmarks.systems import OURS, Entrant
from benchmarks.workloads import text

__all__ = ["CYCLES", "MEMORY", "REQUESTS"]

CYCLES = "load and close"
REQUESTS = "requests"
_CYCLES = 1000
_REQUESTS = 10_000
_ROUNDS = 10
_AT_ONCE = 100  # Requests handed in together; 8 of them run.
_ANSWER_TOKENS = 4
_LONG_WORDS = 900


def _memory(context: Context) -> Sequence[Task]:
    def entrant() -> Entrant:
        # The store at a size that fills up in the first round, or its filling would look like a
        # leak; and streams that become fewer where one must be long, and many again.
        options = {"prefix_cache_bytes": 32_000_000, "kv_cache_bytes": 100_000_000}
        return Entrant(OURS, OURS, context.settings(n_ctx=2048, options=options))

    def cycles(session: Session, turn: int) -> None:
        del turn
        session.ask("cycles", count=_CYCLES // _ROUNDS)

    def requests(session: Session, turn: int) -> None:
        session.ask("prefill", text=text(_LONG_WORDS, ("long", turn)), tokens=1)
        for batch in range(_REQUESTS // _ROUNDS // _AT_ONCE):
            prompts = own_prompts(_AT_ONCE, 1000 * turn + batch)
            session.ask("together", prompts=prompts, tokens=_ANSWER_TOKENS)

    # Asked once before any work as well: it fails where psutil is missing.
    return [
        Task(CYCLES, entrant(), _and_memory(cycles), prepare=Session.rss_bytes),
        Task(REQUESTS, entrant(), _and_memory(requests), prepare=Session.rss_bytes),
    ]


def _and_memory(work: Callable[[Session, int], None]) -> Callable[[Session, int], dict[str, Any]]:
    def both(session: Session, turn: int) -> dict[str, Any]:
        work(session, turn)
        return {"rss_bytes": session.rss_bytes()}

    return both


MEMORY = Scenario(
    "memory",
    f"resident memory over {_CYCLES:,} loads, and {_REQUESTS:,} requests, in {_ROUNDS} steps "
    "with a long text in each",
    (Metric("rss_bytes", "bytes", "lower"),),
    _memory,
    rounds=(_ROUNDS, _ROUNDS),
    warmups=2,
)
