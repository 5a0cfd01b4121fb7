"""What a scenario is made of, and what it is given to work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks.measure import Contestant
from benchmarks.session import Session
from benchmarks.systems import LIMIT, OURS, Entrant
from benchmarks.workloads import text

__all__ = ["Context", "Metric", "Scenario", "Task"]

DEFAULT_CONTEXT = 4096


@dataclass(frozen=True)
class Metric:
    """What a number in a sample means.

    Attributes:
        name: Its key in the samples.
        unit: For people.
        better: Which way is up.
    """

    name: str
    unit: str
    better: Literal["higher", "lower"]


@dataclass(frozen=True)
class Scenario:
    """One workload.

    Attributes:
        name: On the command line and in results.
        about: What is measured, in a sentence.
        metrics: The first is the one that rows are compared by.
        contestants: Who takes part, and how.
        rounds: Samples of each contestant in a full run, and in a quick one.
        warmups: Rounds before these that are not counted.
        axis: What rows with an `at` are laid out along; empty if there are none.
    """

    name: str
    about: str
    metrics: tuple[Metric, ...]
    contestants: Callable[[Context], Sequence[Contestant]]
    rounds: tuple[int, int] = (7, 5)
    warmups: int = 1
    axis: str = ""


@dataclass
class Context:
    """What one run is about.

    Attributes:
        model: The GGUF file.
        n_threads: Threads of every system.
        systems: The names of those that take part.
        is_quick: Whether sizes are cut down as well as rounds.
        folder: Where a scenario may write what it needs.
    """

    model: Path
    n_threads: int
    systems: Sequence[str]
    folder: Path
    is_quick: bool = False
    _tokens_per_word: float = field(default=0.0, init=False)

    def settings(self, **changes: Any) -> dict[str, Any]:
        """The common settings of an adapter, with changes."""
        usual = {
            "model": str(self.model),
            "n_ctx": DEFAULT_CONTEXT,
            "n_threads": self.n_threads,
            "n_parallel": 8,
        }
        return {**usual, **changes}

    def entrants(self, *, without: Sequence[str] = (LIMIT,), **changes: Any) -> list[Entrant]:
        """An entrant for each system that takes part."""
        names = [name for name in self.systems if name not in without]
        return [Entrant(name, name, self.settings(**changes)) for name in names]

    def counts(self, texts: Sequence[str]) -> list[int]:
        """The number of tokens of each of these texts, as prompts."""
        counter = Entrant("count", OURS, self.settings(n_ctx=256, n_parallel=1))
        try:
            session = counter.open()
            return [int(session.ask("count", text=each)["tokens"]) for each in texts]
        finally:
            counter.close()

    def words_for(self, tokens: int) -> int:
        """How many words of a text make about so many tokens of this model."""
        if not self._tokens_per_word:
            self._tokens_per_word = self.counts([text(1000, "words")])[0] / 1000
        return max(1, int(tokens / self._tokens_per_word))


Work = Callable[[Session, int], Mapping[str, Any]]


@dataclass
class Task:
    """A contestant: something that an entrant is asked to do in each round.

    Attributes:
        label: The row's name.
        entrant: The system; several tasks may share one, which is then opened once.
        work: Asks for the operation; returns the sample.
        prepare: Done once, after the model was opened and before any round.
        at: Where the row is on the scenario's axis.
    """

    label: str
    entrant: Entrant
    work: Work
    prepare: Callable[[Session], object] | None = None
    at: float | None = None

    @property
    def system(self) -> str:
        """The system's name."""
        return self.entrant.system

    @property
    def version(self) -> str:
        """The system's version; known once it is open."""
        return self.entrant.version

    def open(self) -> None:
        """Open the model unless a task before has, and prepare."""
        session = self.entrant.session or self.entrant.open()
        if self.prepare is not None:
            self.prepare(session)

    def measure(self, turn: int) -> Mapping[str, Any]:
        """Do the work once."""
        assert self.entrant.session is not None
        return self.work(self.entrant.session, turn)

    def pause(self) -> None:
        """Stop the process until it is asked again."""
        self.entrant.pause()

    def close(self) -> None:
        """End the process."""
        self.entrant.close()
