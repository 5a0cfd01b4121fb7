"""A busy process beside it: how much of its speed a system keeps."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks.scenarios.scenario import Context, Metric, Scenario, Task, Work
from benchmarks.session import Session
from benchmarks.systems import ALL, LIMIT, OURS, Entrant
from benchmarks.workloads import counting

__all__ = ["BUSY", "CONTENDED", "busy_processes"]

BUSY = " beside a busy process"
_ANSWER_TOKENS = 256


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Keep so many CPUs busy."""
    command = [sys.executable, "-c", "while True: pass"]
    spinning = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def _alone(session: Session, turn: int) -> dict[str, Any]:
    return session.ask("decode", prompt=counting(10 + turn), tokens=_ANSWER_TOKENS)


def _beside(others: int) -> Work:
    def work(session: Session, turn: int) -> dict[str, Any]:
        with busy_processes(others):
            return _alone(session, turn)

    return work


def _contended(context: Context) -> Sequence[Task]:
    # As many as make one more than there are CPUs.
    others = max(1, (os.cpu_count() or 1) - context.n_threads + 1)
    # In a quick run only what shows what the bar is about: a fixed number of threads suffers.
    slow = [name for name in ALL if name not in {OURS, LIMIT}] if context.is_quick else []
    entrants = context.entrants(without=slow)
    if LIMIT in context.systems and context.n_threads > 1 and not context.is_quick:
        entrants.append(Entrant(f"{LIMIT}, 1 thread", LIMIT, context.settings(n_threads=1)))
    tasks = []
    for each in entrants:
        tasks.append(Task(each.label, each, _alone))
        tasks.append(Task(each.label + BUSY, each, _beside(others)))
    return tasks


CONTENDED = Scenario(
    "contended",
    f"one answer of {_ANSWER_TOKENS} tokens, alone and beside a process that keeps a CPU busy",
    (Metric("tokens_per_s", "tokens/s", "higher"),),
    _contended,
    rounds=(7, 3),
)
