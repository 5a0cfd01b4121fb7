"""The ends of an interactive command, in a pipe."""

from __future__ import annotations

import io

import pytest

from llmlocal import ParameterError
from llmlocal.cli._terminal import Terminal


def test_a_line_of_a_chat_that_is_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("hello\n\udcff\n"))
    terminal = Terminal()
    assert terminal.read_message() == "hello"
    with pytest.raises(ParameterError, match="a line of the input is not UTF-8 text"):
        terminal.read_message()
