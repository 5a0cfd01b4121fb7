"""``llmlocal chat --tools FILE.py``: the functions of a file, and a question before each call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from llmlocal._chat import ChatSession
from llmlocal._chat._output import ToolCall
from llmlocal.cli import main
from llmlocal.cli._chat_loop import ChatLoop
from llmlocal.cli._terminal import Terminal
from llmlocal.cli._tool_file import call_text, load_tools
from llmlocal.errors import ParameterError

from ..chat.fake_model import FakeModel
from ..tools.families import FAMILIES

FILE = '''
from dataclasses import dataclass

@dataclass
class Place:
    name: str

def add(a: int, b: int) -> int:
    """Add."""
    return a + b

def visit(place: Place) -> str:
    """Visit."""
    return place.name

def _helper(): ...
'''


def call(name: str, **arguments: Any) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {json.dumps(arguments)}}}\n</tool_call>'


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return str(path)


class Asked:
    """A terminal whose person says yes, or no."""

    is_interactive = True

    def __init__(self, *lines: str, says: bool) -> None:
        self.lines = list(lines)
        self.says = says
        self.questions: list[str] = []
        self.told: list[str] = []

    def read_message(self) -> str | None:
        return self.lines.pop(0) if self.lines else None

    def ask(self, question: str) -> bool:
        self.questions.append(question)
        return self.says

    def write(self, text: str) -> None:
        self.told.append(text)

    write_aside = note = write


def talk(file: str, terminal: Asked, *answers: str, asks: bool = True) -> ChatSession:
    model = FakeModel(*answers, template=FAMILIES["hermes"])
    session = ChatSession(model, tools=load_tools(file))
    ChatLoop(cast("Any", model), session, cast("Terminal", terminal), asks=asks).run()
    return session


def test_the_functions_of_a_file_are_found(file: str) -> None:
    assert [tool.__name__ for tool in load_tools(file)] == ["add", "visit"]


def test_a_list_says_which(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(FILE + "\ntools = [add]\n")
    assert [tool.__name__ for tool in load_tools(str(path))] == ["add"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("x = 1", "defines no functions"), ("1 / 0", "ZeroDivisionError"), ("def", "SyntaxError")],
)
def test_files_without_tools_are_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(ParameterError, match=complaint):
        load_tools(str(path))


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ParameterError, match=r"no file 'nowhere\.py'"):
        load_tools("nowhere.py")


def test_a_call_is_made_when_it_is_allowed(file: str) -> None:
    terminal = Asked("2 + 3?", says=True)
    session = talk(file, terminal, call("add", a=2, b=3), "Five.")
    assert terminal.questions == ["call add(a=2, b=3)? [y/N] "]
    assert session.history[2]["content"] == "5"
    assert "Five." in "".join(terminal.told)
    assert "tool_call" not in "".join(terminal.told)


def test_a_call_is_not_made_when_it_is_refused(file: str) -> None:
    terminal = Asked("2 + 3?", says=False)
    session = talk(file, terminal, call("add", a=2, b=3), "Well.")
    assert "refused" in session.history[2]["content"]


def test_yes_asks_nothing(file: str) -> None:
    terminal = Asked("Go to Rome.", says=False)
    session = talk(file, terminal, call("visit", place={"name": "Rome"}), "Done.", asks=False)
    assert terminal.questions == []
    assert session.history[2]["content"] == "Rome"
    assert '[visit(place={"name": "Rome"})]' in terminal.told


def test_a_pipe_needs_yes(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", "no-such-model", "--tools", file]) != 0
    assert "add --yes" in capsys.readouterr().err


def test_a_long_call_is_shortened() -> None:
    shown = call_text(ToolCall("123456789", "f", json.dumps({"x": "y" * 1000})))
    assert len(shown) == 300
    assert shown.endswith("...)")
