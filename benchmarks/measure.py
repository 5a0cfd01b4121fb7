"""Takes the measurements: contestants in turn, round after round (A B A B), after a warm-up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["Contestant", "Row", "measure_in_turn"]

Sample = Mapping[str, Any]
"""Numbers by metric; `text` is what was answered."""


class Contestant(Protocol):
    """Somebody who takes part in a scenario."""

    @property
    def label(self) -> str:
        """The row's name."""

    @property
    def system(self) -> str:
        """The system's name."""

    @property
    def version(self) -> str:
        """The system's version; known once it is open."""

    def open(self) -> None:
        """Get ready; raises what makes it impossible."""

    def measure(self, turn: int) -> Sample:
        """Do the work once; `turn` is a seed that all contestants get alike."""

    def pause(self) -> None:
        """Keep still while others are measured."""

    def close(self) -> None:
        """End."""


@dataclass
class Row:
    """What a contestant has to show.

    Attributes:
        label: Its name in this scenario.
        system: The system behind it.
        version: Of that system.
        samples: One mapping of metrics a round; the warm-up is not among them.
        error: Why there are no (more) samples; empty if all went well.
        is_unsupported: It has no way to do this, as against a failure.
        at: Where it is on the scenario's axis, if that has one.
        text: What it answered in the first round that counts, if it is text.
    """

    label: str
    system: str
    version: str = ""
    samples: list[dict[str, float]] = field(default_factory=list)
    error: str = ""
    is_unsupported: bool = False
    at: float | None = None
    text: str = ""

    def values(self, metric: str) -> list[float]:
        """The samples of one metric."""
        return [sample[metric] for sample in self.samples if metric in sample]


def measure_in_turn(
    contestants: Sequence[Contestant],
    *,
    rounds: int,
    warmups: int = 1,
    say: Callable[[str], object] = lambda _: None,
    keep: Callable[[list[Row]], object] = lambda _: None,
) -> list[Row]:
    """Measure all of them in turn; one that fails drops out, and its row says why.

    Args:
        contestants: Who takes part.
        rounds: Samples of each.
        warmups: Rounds before these that are not counted.
        say: Told how far it is.
        keep: Given the rows after each round, and when an interruption ends the last one early.

    Returns:
        A row for each contestant.
    """
    rows = [Row(each.label, each.system, at=getattr(each, "at", None)) for each in contestants]
    active = list(zip(contestants, rows, strict=True))
    with ExitStack() as stack:
        for contestant, row in _who_manage(active, lambda each, _: _open(each, stack)):
            row.version = contestant.version
        try:
            for turn in range(warmups + rounds):
                say(f"round {turn + 1 - warmups} of {rounds}" if turn >= warmups else "warm-up")
                still = [(each, row) for each, row in active if not row.error]
                # Each second round goes the other way, or the last would always follow the same one.
                order = still if turn % 2 == 0 else still[::-1]

                def take_part(each: Contestant, row: Row, turn: int = turn) -> None:
                    sample = each.measure(turn)
                    each.pause()
                    if turn >= warmups:
                        row.text = row.text or str(sample.get("text", ""))
                        numbers = {name: value for name, value in sample.items() if name != "text"}
                        row.samples.append(numbers)

                list(_who_manage(order, take_part))
                keep(rows)
        except BaseException:
            keep(rows)
            raise
    for contestant, row in active:
        row.version = row.version or contestant.version
    return rows


def _open(contestant: Contestant, stack: ExitStack) -> None:
    stack.callback(contestant.close)
    contestant.open()
    contestant.pause()


def _who_manage(
    active: Iterable[tuple[Contestant, Row]], work: Callable[[Contestant, Row], None]
) -> Iterable[tuple[Contestant, Row]]:
    for contestant, row in active:
        try:
            work(contestant, row)
        except KeyboardInterrupt:
            raise
        except Exception as error:  # noqa: BLE001 - a failure is a result: the row says so
            row.error = str(error) or type(error).__name__
            row.is_unsupported = bool(getattr(error, "is_unsupported", False))
        else:
            yield contestant, row
