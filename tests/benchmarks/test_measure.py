from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from benchmarks.measure import measure_in_turn


@dataclass
class Scripted:
    """A contestant that writes down what happens to it."""

    label: str
    log: list[str]
    sample: Callable[[int], dict[str, Any]] = lambda turn: {"value": float(turn)}
    opens: Callable[[], None] = lambda: None
    system: str = "scripted"
    version: str = ""
    at: float | None = None
    turns: list[int] = field(default_factory=list)

    def open(self) -> None:
        self.log.append(f"open {self.label}")
        self.opens()
        self.version = "1.0"

    def measure(self, turn: int) -> dict[str, Any]:
        self.log.append(f"measure {self.label}")
        self.turns.append(turn)
        return self.sample(turn)

    def pause(self) -> None:
        self.log.append(f"pause {self.label}")

    def close(self) -> None:
        self.log.append(f"close {self.label}")


def fails(_: int = 0) -> dict[str, Any]:
    raise RuntimeError("out of order")


def test_contestants_take_turns_and_change_places() -> None:
    log: list[str] = []
    measure_in_turn([Scripted("a", log), Scripted("b", log)], rounds=2, warmups=1)
    measured = [line[-1] for line in log if line.startswith("measure")]
    assert "".join(measured) == "abbaab"


def test_the_warm_up_is_not_counted_and_all_get_the_same_seeds() -> None:
    log: list[str] = []
    first, second = Scripted("a", log), Scripted("b", log)
    rows = measure_in_turn([first, second], rounds=3, warmups=2)
    assert first.turns == second.turns == [0, 1, 2, 3, 4]
    assert [row.values("value") for row in rows] == [[2.0, 3.0, 4.0]] * 2


def test_who_was_measured_keeps_still_while_others_are() -> None:
    log: list[str] = []
    measure_in_turn([Scripted("a", log), Scripted("b", log)], rounds=2)
    for position, line in enumerate(log):
        if line.startswith("measure"):
            assert log[position + 1] == line.replace("measure", "pause")


def test_a_failing_contestant_drops_out_and_says_why() -> None:
    log: list[str] = []
    rows = measure_in_turn(
        [Scripted("good", log), Scripted("bad", log, sample=fails)], rounds=2, warmups=1
    )
    assert (rows[0].error, len(rows[0].samples)) == ("", 2)
    assert (rows[1].error, rows[1].samples) == ("out of order", [])
    assert log.count("measure bad") == 1


def test_one_that_can_not_open_is_a_row_and_is_not_measured() -> None:
    log: list[str] = []

    def refuse() -> None:
        raise RuntimeError("not installed")

    rows = measure_in_turn([Scripted("a", log, opens=refuse), Scripted("b", log)], rounds=1)
    assert rows[0].error == "not installed"
    assert "measure a" not in log
    assert rows[1].values("value") == [1.0]


def test_an_error_without_words_still_has_a_name() -> None:
    def silent(_: int) -> dict[str, Any]:
        raise ValueError

    (row,) = measure_in_turn([Scripted("a", [], sample=silent)], rounds=1)
    assert row.error == "ValueError"


def test_all_are_closed_whatever_happens() -> None:
    log: list[str] = []

    def interrupt(_: int) -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_in_turn([Scripted("a", log), Scripted("b", log, sample=interrupt)], rounds=1)
    assert {"close a", "close b"} <= set(log)


def test_rows_are_kept_after_each_round_and_when_one_is_interrupted() -> None:
    kept: list[list[int]] = []

    def interrupt(turn: int) -> dict[str, Any]:
        if turn == 3:
            raise KeyboardInterrupt
        return {"value": 1.0}

    contestants = [Scripted("a", [], sample=interrupt), Scripted("b", [])]
    with pytest.raises(KeyboardInterrupt):
        measure_in_turn(
            contestants,
            rounds=5,
            keep=lambda rows: kept.append([len(row.samples) for row in rows]),
        )
    # After the warm-up and two rounds; the third goes the other way, so b was before a.
    assert kept == [[0, 0], [1, 1], [2, 2], [2, 3]]


def test_texts_are_kept_once_and_are_no_samples() -> None:
    contestant = Scripted("a", [], sample=lambda turn: {"value": 1.0, "text": f"answer {turn}"})
    (row,) = measure_in_turn([contestant], rounds=2, warmups=1)
    assert row.text == "answer 1"
    assert row.samples == [{"value": 1.0}] * 2


def test_a_row_knows_its_version_and_its_place() -> None:
    (row,) = measure_in_turn([Scripted("a", [], at=8.0)], rounds=1)
    assert (row.version, row.at, row.system) == ("1.0", 8.0, "scripted")
