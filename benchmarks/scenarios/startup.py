"""Starting: the process, the import, the model."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.measure import Contestant
from benchmarks.scenarios.scenario import Context, Metric, Scenario, Task
from benchmarks.session import Session
from benchmarks.systems import LIMIT, OURS, Entrant
from benchmarks.workloads import counting

__all__ = ["COLD", "IMPORT", "LOAD"]

_MODULES = ("numpy", OURS)


@dataclass
class ColdStart:
    """A whole process each time: started, imported, loaded, first token."""

    entrant: Entrant

    @property
    def label(self) -> str:
        """The system's name."""
        return self.entrant.label

    @property
    def system(self) -> str:
        """The system's name."""
        return self.entrant.system

    @property
    def version(self) -> str:
        """Known after the first round."""
        return self.entrant.version

    def open(self) -> None:
        """Nothing stays open."""

    def measure(self, turn: int) -> dict[str, Any]:
        """Seconds from the start of the process to its first token."""
        start = time.perf_counter()
        try:
            session = self.entrant.open()
            session.ask("prefill", text=counting(turn), tokens=1)
            return {"first_token_s": time.perf_counter() - start}
        finally:
            self.entrant.close()

    def pause(self) -> None:
        """Nothing runs."""

    def close(self) -> None:
        """Nothing stays open."""


@dataclass
class Import:
    """A process that imports a module and ends."""

    label: str
    system: str = "python"
    version: str = sys.version.partition(" ")[0]

    def open(self) -> None:
        """Nothing stays open."""

    def measure(self, turn: int) -> dict[str, Any]:
        """Seconds from the start of the process to its end."""
        del turn
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import {self.label}"], check=True)
        return {"import_s": time.perf_counter() - start}

    def pause(self) -> None:
        """Nothing runs."""

    def close(self) -> None:
        """Nothing stays open."""


def _cold(context: Context) -> Sequence[Contestant]:
    return [ColdStart(each) for each in context.entrants()]


def _import(context: Context) -> Sequence[Contestant]:
    del context
    return [Import(module) for module in _MODULES]


def _load(context: Context) -> Sequence[Contestant]:
    def work_for(entrant: Entrant) -> Any:
        extra = entrant.opening()

        def work(session: Session, turn: int) -> dict[str, Any]:
            del turn
            closed = session.ask("close")
            return {**closed, **session.ask("open", settings=extra)}

        return work

    return [Task(each.label, each, work_for(each)) for each in context.entrants(without=(LIMIT,))]


COLD = Scenario(
    "cold",
    "from the start of a process to its first token, the file in the system's cache",
    (Metric("first_token_s", "s", "lower"),),
    _cold,
    rounds=(7, 5),
)
IMPORT = Scenario(
    "import",
    "a process that imports the package and ends, against one that imports numpy",
    (Metric("import_s", "s", "lower"),),
    _import,
    rounds=(25, 15),
)
LOAD = Scenario(
    "load",
    "loading a model in a running process, and freeing it",
    (Metric("open_s", "s", "lower"), Metric("close_s", "s", "lower")),
    _load,
)
