"""What a token costs beyond llama.cpp, seen with a model so small that nothing hides it.

The CPU time of the whole process for each token, less that of llama-bench, which only evaluates, for
a token of the same model with one thread. CPU time, so a busy machine spoils it less than the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.scenarios.scenario import Context, Metric, Scenario, Task
from benchmarks.session import Session
from benchmarks.synthetic import SHAPES, ensure_model
from benchmarks.systems import LIMIT, OURS, SERVED, Entrant
from benchmarks.workloads import counting

__all__ = ["OVERHEAD", "STREAMED", "STREAMED_OVER_HTTP", "WHOLE"]

WHOLE = f"{OURS}, taken as a whole"
STREAMED = f"{OURS}, read piece by piece"
STREAMED_OVER_HTTP = f"{SERVED}, streamed to a client"
_TOKENS = 1000


def _overhead(context: Context) -> Sequence[Task]:
    model = ensure_model(SHAPES["tiny"], context.folder)
    settings = context.settings(model=str(model), n_ctx=2048, n_threads=1, n_parallel=1)

    def ours(*, streaming: bool) -> Any:
        def work(session: Session, turn: int) -> dict[str, Any]:
            return session.ask("cpu", prompt=counting(turn), tokens=_TOKENS, streaming=streaming)

        return work

    def limit(session: Session, turn: int) -> dict[str, Any]:
        del turn
        return session.ask("cpu", prompt="", tokens=_TOKENS)

    entrant = Entrant(OURS, OURS, settings)
    tasks = [
        Task(WHOLE, entrant, ours(streaming=False)),
        Task(STREAMED, entrant, ours(streaming=True)),
    ]
    if SERVED in context.systems:
        served = Entrant(SERVED, SERVED, settings)
        tasks.append(Task(STREAMED_OVER_HTTP, served, ours(streaming=True)))
    if LIMIT in context.systems:
        tasks.append(Task(LIMIT, Entrant(LIMIT, LIMIT, settings), limit))
    return tasks


OVERHEAD = Scenario(
    "overhead",
    f"CPU time of a token of a tiny model, one thread, {_TOKENS} tokens in a row",
    (Metric("cpu_us", "µs/token", "lower"),),
    _overhead,
    rounds=(9, 7),
)
