"""A conversation as a file, with and without what the model has evaluated of it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from llmlocal import ChatSession, ParameterError
from llmlocal._chat._saved import read_file

from ..conftest import OpenTiny

QUESTION = "And what then? " * 8


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "talk.session"


def talk(open_tiny: OpenTiny, file: Path, *, state: bool, name: str = "llama") -> ChatSession:
    """A session of one turn, saved."""
    session = open_tiny(name, n_ctx=2048).chat_session(system="You are terse. " * 10)
    session.generate(QUESTION, max_tokens=8, temp=0)
    session.save(file, state=state)
    return session


@pytest.mark.parametrize("name", ["llama", "gemma"])
def test_with_its_state_nothing_is_evaluated_twice(
    name: str, open_tiny: OpenTiny, file: Path
) -> None:
    session = talk(open_tiny, file, state=True, name=name)
    expected = session.generate(QUESTION, max_tokens=8, temp=0)
    loaded = ChatSession.load(open_tiny(name, n_ctx=2048), file)
    answer = loaded.generate(QUESTION, max_tokens=8, temp=0)
    assert answer == expected
    # A state that can't be cut back is that of the last message's end.
    assert answer.usage.cached_tokens >= expected.usage.cached_tokens - 4 > 150


def test_without_it_the_talk_is_the_same(open_tiny: OpenTiny, file: Path) -> None:
    session = talk(open_tiny, file, state=False)
    assert file.read_text().startswith("{")
    loaded = ChatSession.load(open_tiny(n_ctx=2048), file)
    assert loaded.history == session.history
    answer = loaded.generate(QUESTION, max_tokens=8, temp=0)
    assert answer == session.generate(QUESTION, max_tokens=8, temp=0)
    assert answer.usage.cached_tokens == 0


def test_a_state_of_no_use_is_left_alone(open_tiny: OpenTiny, file: Path) -> None:
    talk(open_tiny, file, state=True)
    for options in ({"model": "gemma"}, {"kv_type": "f32"}):
        llm = open_tiny(n_ctx=2048, **options)
        reply = ChatSession.load(llm, file).generate(QUESTION, max_tokens=4)
        assert reply.usage.cached_tokens == 0
    state = read_file(file)[1]
    llm = open_tiny(n_ctx=2048)
    assert llm.load_state(state[:-1]) == llm.load_state(b"") == llm.load_state(b"x" * 500) == 0
    assert llm.load_state(state) > 150
    assert llm.save_state([300, 301]) == b""


def test_only_its_user_can_read_it_and_a_failed_save_changes_nothing(
    open_tiny: OpenTiny, file: Path
) -> None:
    session = talk(open_tiny, file, state=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    session.variables["x"] = object()
    with pytest.raises(ParameterError, match="what JSON does not"):
        session.save(file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_what_is_no_session_is_refused(open_tiny: OpenTiny, file: Path) -> None:
    talk(open_tiny, file, state=True)
    data = file.read_bytes()
    for wrong in (
        b"",
        b"{}",
        b"\xff\xfe",
        data[: len(data) // 2],
        data.replace(b"session.json", b"s"),
    ):
        file.write_bytes(wrong)
        with pytest.raises(ParameterError, match="session"):
            ChatSession.load(open_tiny(), file)
