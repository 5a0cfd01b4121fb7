"""What ``llmlocal chat`` does with messages and commands, without a terminal or a model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import pytest

from llmlocal._chat import ChatSession
from llmlocal.cli._chat_loop import ChatLoop
from llmlocal.cli._terminal import Terminal
from llmlocal.errors import EngineError

from .fake_model import THINKING, FakeModel

Line = str | type[KeyboardInterrupt]


class FakeTerminal:
    """Says the lines it is given; keeps what it is told, in order, with where it went."""

    def __init__(self, *lines: Line, is_interactive: bool = True) -> None:
        self.lines = list(lines)
        self.is_interactive = is_interactive
        self.told: list[tuple[str, str]] = []

    def read_message(self) -> str | None:
        line = self.lines.pop(0) if self.lines else None
        if isinstance(line, type):
            raise line
        return line

    def _tell(self, where: str, text: str) -> None:
        self.told.append((where, text))

    def write(self, text: str) -> None:
        self._tell("out", text)

    def write_aside(self, text: str) -> None:
        self._tell("aside", text)

    def note(self, text: str) -> None:
        self._tell("note", text)

    def all(self, where: str) -> str:
        return "".join(
            text + "\n" * (where == "note") for place, text in self.told if place == where
        )


def talk(
    model: FakeModel, *lines: Line, is_interactive: bool = True, **options: Any
) -> tuple[FakeTerminal, ChatSession]:
    terminal = FakeTerminal(*lines, is_interactive=is_interactive)
    session = ChatSession(model, **options)
    loop = ChatLoop(cast("Any", model), session, cast("Terminal", terminal))
    loop.run()
    return terminal, loop._session


def said(session: ChatSession) -> list[str]:
    return [message["content"] for message in session.history]


def test_messages_are_answered() -> None:
    terminal, session = talk(FakeModel("A", "B"), "one", "", "  ", "two")
    assert said(session) == ["one", "A", "two", "B"]
    assert terminal.all("out") == "A\nB\n"
    assert terminal.all("note") == ""


LEAVING = ("/exit", " /exit now", "/quit", "exit", " Quit ")


@pytest.mark.parametrize(
    "lines",
    [("one",), *(("one", word, "two") for word in LEAVING)],
)
def test_exit_and_the_end_leave(lines: tuple[str, ...]) -> None:
    _, session = talk(FakeModel("A"), *lines)
    assert said(session) == ["one", "A"]


def test_a_sentence_about_leaving_is_a_message() -> None:
    _, session = talk(FakeModel("A"), "exit now")
    assert said(session) == ["exit now", "A"]


def test_a_message_may_begin_with_a_slash() -> None:
    _, session = talk(FakeModel("A"), "//etc is a folder")
    assert said(session)[0] == "/etc is a folder"


def test_unknown_commands_are_named() -> None:
    terminal, session = talk(FakeModel(), "/frob now", "/help")
    assert "there is no command /frob; /help lists them\n" in terminal.all("note")
    for command in ("/system", "/undo", "/retry", "/save", "/load", "/stats", "/exit"):
        assert command in terminal.all("note")
    assert session.history == []


def test_the_system_message_can_be_set() -> None:
    terminal, session = talk(FakeModel(), "/system", "/system Be terse. ", "hi", "/system -")
    assert terminal.all("note") == "system: (none)\nsystem: Be terse.\nsystem: (none)\n"
    assert said(session) == ["hi", "ok"]


def test_undo() -> None:
    long = "x" * 80
    terminal, session = talk(FakeModel(), "one", long, "/undo", "/undo", "/undo")
    assert (
        terminal.all("note") == f"took back: {'x' * 57}...\ntook back: one\nnothing to take back\n"
    )
    assert session.history == []


def test_a_new_conversation() -> None:
    model = FakeModel("A", "B", "C")
    _, session = talk(model, "one", "/new", "two", "/system S", "/new", "three")
    assert model.prompts[1:] == ["<user>two</><assistant>", "<system>S</><user>three</><assistant>"]
    assert said(session) == ["S", "three", "C"]


def test_retry_asks_again() -> None:
    model = FakeModel("A", "B")
    terminal, session = talk(model, "one", "/retry")
    assert said(session) == ["one", "B"]
    assert model.prompts[0] == model.prompts[1]
    assert terminal.all("out") == "A\nB\n"


def test_retry_keeps_the_old_answer_if_there_is_no_new_one() -> None:
    terminal, session = talk(FakeModel("A", EngineError("broken")), "/retry", "one", "/retry")
    assert said(session) == ["one", "A"]
    assert terminal.all("note") == "nothing to answer again\nerror: broken\n"


def test_save_and_load(tmp_path: Path) -> None:
    file = tmp_path / "a chat.json"
    talk(FakeModel("A"), "one", f"/save {file}", temp=0)
    terminal, session = talk(FakeModel("B"), f"/load {file}", "two")
    assert said(session) == ["one", "A", "two", "B"]
    assert session.options == {"temp": 0}
    assert terminal.all("note") == f"loaded 2 messages from {file}\n"


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("/save", r"save to which file\? /save FILE"),
        ("/load", r"load which file\? /load FILE"),
        ("/save /absent/file", "error: /absent/file can't be written: No such file or directory"),
        (
            "/load /absent/file",
            "error: /absent/file can't be read: No such file or directory",
        ),
    ],
)
def test_files_that_are_not_there(line: str, note: str) -> None:
    terminal, _ = talk(FakeModel(), line)
    assert re.fullmatch(f"{note}\n", terminal.all("note"))


def test_a_file_that_is_no_chat(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("{}")
    (tmp_path / "y").write_bytes(b"\xff")
    terminal, session = talk(
        FakeModel(), "hi", f"/load {tmp_path / 'x'}", f"/load {tmp_path / 'y'}"
    )
    assert "this is not a saved chat session: it has no 'format'\n" in terminal.all("note")
    assert "y can't be read: it is not a text in UTF-8\n" in terminal.all("note")
    assert said(session) == ["hi", "ok"]


def test_stats() -> None:
    terminal, _ = talk(FakeModel("abc"), "/stats", "hi", "/stats")
    notes = terminal.all("note")
    assert notes.startswith("no answer yet\n")
    assert "answer   3 tokens" in notes
    assert "context  25 of 10000 tokens, 2 messages" in notes


def test_reasoning_goes_aside() -> None:
    terminal, _ = talk(FakeModel("<think>hm</think>42", template=THINKING), "q")
    assert terminal.all("out") == "42\n"
    assert terminal.all("aside") == "[thinking]\nhm\n[answer]\n"


def test_a_cut_answer_is_said_to_be_cut() -> None:
    terminal, _ = talk(FakeModel("A", finish_reason="length"), "q")
    assert terminal.all("note") == "(stopped at --max-tokens)\n"
    terminal, _ = talk(FakeModel("A" * 90, n_ctx=108, finish_reason="length"), "q")
    assert terminal.all("note") == "(stopped: the context is full)\n"
    terminal, _ = talk(FakeModel("A", finish_reason="timeout"), "q")
    assert terminal.all("note") == "(stopped at --timeout)\n"


def test_what_was_left_out_is_said() -> None:
    model = FakeModel(n_ctx=150)
    terminal, _ = talk(model, *["x" * 30] * 5, overflow="drop_oldest", max_tokens=5)
    assert "messages no longer fit and were left out)" in terminal.all("note")


def test_an_error_keeps_the_chat() -> None:
    terminal, session = talk(FakeModel(EngineError("broken"), "B"), "one", "two")
    assert terminal.all("note") == "error: broken\n"
    assert said(session) == ["two", "B"]


# -- Ctrl-C -------------------------------------------------------------------------------------


def interrupting(model: FakeModel, at: int) -> FakeModel:
    def on_piece(number: int) -> None:
        if number == at:
            model.on_piece = lambda _: None
            raise KeyboardInterrupt

    model.on_piece = on_piece
    return model


def test_ctrl_c_stops_the_answer_and_keeps_the_chat() -> None:
    terminal, session = talk(interrupting(FakeModel("abc", "B"), 2), "one", "two")
    assert said(session) == ["one", "ab", "two", "B"]
    assert session.history[1]["partial"] == "cancelled"
    assert "(stopped)" in terminal.all("note")


def test_ctrl_c_twice_at_the_prompt_leaves() -> None:
    terminal, session = talk(
        FakeModel("A"), KeyboardInterrupt, "one", KeyboardInterrupt, KeyboardInterrupt, "two"
    )
    assert said(session) == ["one", "A"]
    assert terminal.all("note").count("Ctrl-C again") == 2


# -- a pipe -------------------------------------------------------------------------------------


def test_in_a_pipe_an_error_ends_it() -> None:
    with pytest.raises(EngineError, match="broken"):
        talk(FakeModel(EngineError("broken")), "one", "two", is_interactive=False)


@pytest.mark.parametrize("line", ["/load /absent/file", "/exit", "exit", "//x", "/etc is a folder"])
def test_in_a_pipe_a_line_is_a_message_whatever_it_begins_with(line: str) -> None:
    _, session = talk(FakeModel("A", "B"), line, "more", is_interactive=False)
    assert said(session) == [line, "A", "more", "B"]


def test_in_a_pipe_ctrl_c_ends_it() -> None:
    with pytest.raises(KeyboardInterrupt):
        talk(FakeModel(), KeyboardInterrupt, "one", is_interactive=False)
    with pytest.raises(KeyboardInterrupt):
        talk(interrupting(FakeModel("abc"), 1), "one", is_interactive=False)
