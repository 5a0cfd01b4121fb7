"""Tables: all of them in a pipe, as much as there is room for on a terminal."""

from __future__ import annotations

import os

import pytest

from llmlocal.cli import main
from llmlocal.cli._models_text import SPARE
from llmlocal.cli._table import aligned, columns_that_fit, print_table

ROWS = [("NAME", "SIZE", "KIND"), ("one", "1 MB", "text"), ("another", "20 MB", "code")]
WIDTH = len("another  20 MB  code")


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert aligned(ROWS) == ["NAME     SIZE   KIND", "one      1 MB   text", "another  20 MB  code"]


@pytest.mark.parametrize(
    ("width", "kept"),
    [(WIDTH, [0, 1, 2]), (WIDTH - 1, [0, 1]), (14, [0, 1]), (13, [0]), (1, [0])],
)
def test_a_narrow_terminal_does_without_the_spare_ones(width: int, kept: list[int]) -> None:
    assert columns_that_fit(ROWS, width, ("KIND", "SIZE")) == kept


def test_what_is_left_out_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("llmlocal.cli._table.is_terminal", lambda _: True)
    monkeypatch.setenv("COLUMNS", "15")
    print_table(ROWS, spare=("KIND",))
    shown = capsys.readouterr()
    assert shown.out == "NAME     SIZE\none      1 MB\nanother  20 MB\n"
    assert shown.err == "(a wider terminal shows KIND too; --json all)\n"


def test_a_pipe_gets_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "15")
    print_table(ROWS, spare=("KIND",))
    shown = capsys.readouterr()
    assert (shown.out.splitlines(), shown.err) == (aligned(ROWS), "")


def test_the_list_of_models_fits_on_eighty_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("llmlocal.cli._table.is_terminal", lambda _: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LLMLOCAL_HOME", os.devnull + ".absent")
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 40
    assert max(map(len, lines)) <= 80
    assert not any(heading in lines[0] for heading in SPARE[:2])
