"""The bar for long prompts is there when it is needed, and gone with the first word."""

from __future__ import annotations

import io

import pytest

from llmlocal.cli._prompt_bar import PromptBar


class Screen(io.StringIO):
    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


def shown(
    monkeypatch: pytest.MonkeyPatch, seconds_a_piece: float, *, is_terminal: bool = True
) -> str:
    screen = Screen(is_terminal=is_terminal)
    monkeypatch.setattr("sys.stderr", screen)
    now = 0.0
    bar = PromptBar(lambda: now)
    for done in range(100, 1001, 100):
        now += seconds_a_piece
        bar(done, 1000)
    return screen.getvalue()


def test_a_long_prompt_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, 0.3)
    assert "prompt" in text
    assert "/1000" in text
    assert text.rstrip(" ").endswith("\r")  # Wiped out: the answer begins on a clean line.


def test_a_short_one_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, 0.1) == ""


def test_a_pipe_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, 3, is_terminal=False) == ""
