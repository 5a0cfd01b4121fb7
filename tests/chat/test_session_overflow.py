"""A conversation that outgrows the context: an error, or the oldest turns are dropped."""

from __future__ import annotations

from itertools import pairwise

import pytest

from llmlocal._chat import ChatSession
from llmlocal.errors import (
    ContextOverflowError,
    ParameterError,
)

from .fake_model import FakeModel
from .talk import roles


def test_a_conversation_that_is_too_long_is_an_error() -> None:
    session = ChatSession(FakeModel(n_ctx=100))
    session.generate("x" * 50)
    with pytest.raises(ContextOverflowError):
        session.generate("y" * 50)
    assert roles(session) == "ua"


def test_the_oldest_turns_are_dropped_if_asked() -> None:
    model = FakeModel(n_ctx=200)
    session = ChatSession(model, system="S", overflow="drop_oldest", max_tokens=10)
    replies = [session.generate(f"{i}" * 20) for i in range(10)]

    assert all(len(prompt) <= 190 for prompt in model.prompts)
    assert all(prompt.startswith("<system>S</><user>") for prompt in model.prompts)
    assert all(
        f"<user>{str(i) * 20}</><assistant>" in prompt for i, prompt in enumerate(model.prompts)
    )
    dropped = [reply.dropped_messages for reply in replies]
    assert dropped[0] == 0 < dropped[-1]
    assert dropped == sorted(dropped)
    assert all(n % 2 == 0 for n in dropped)
    assert len(session.history) == 21


def test_more_is_dropped_than_must_be_so_that_the_beginning_stays() -> None:
    """Or every later turn would begin elsewhere, and nothing of it could be reused."""
    model = FakeModel(n_ctx=400)
    session = ChatSession(model, overflow="drop_oldest", max_tokens=0)
    dropped = [session.generate(f"{i:03}" * 5).dropped_messages for i in range(40)]
    changes = sum(a != b for a, b in pairwise(dropped))
    assert 0 < changes < 15


def test_a_last_turn_that_is_too_long_is_an_error() -> None:
    session = ChatSession(FakeModel(n_ctx=100), overflow="drop_oldest")
    session.generate("x")
    with pytest.raises(ContextOverflowError):
        session.generate("y" * 100)
    assert session.generate("short").dropped_messages in (0, 2)


def test_what_was_dropped_comes_back_when_the_history_is_shorter() -> None:
    model = FakeModel(n_ctx=100)
    session = ChatSession(model, overflow="drop_oldest", max_tokens=1)
    for i in range(5):
        session.generate(f"{i}" * 20)
    for _ in range(4):
        session.undo()
    assert session.generate("next").dropped_messages == 0


def talk_until_it_drops(model: FakeModel) -> ChatSession:
    session = ChatSession(model, overflow="drop_oldest", max_tokens=1)
    while not session.generate("x" * 10).dropped_messages:
        pass
    return session


def test_what_was_dropped_comes_back_when_all_fits_again() -> None:
    session = talk_until_it_drops(FakeModel(n_ctx=400))
    assert 0 < session.first < len(session.history) - 6  # a turn will begin there still
    for _ in range(2):
        session.undo()
    assert session.generate("x" * 10).dropped_messages == 0


def test_another_try_begins_where_the_first_did() -> None:
    """Or the whole prompt would be evaluated again."""
    model = FakeModel(n_ctx=400)
    session = talk_until_it_drops(model)
    for text in ("y" * 10, "z" * 10):
        session.generate(text)
    session.undo()
    session.generate("z" * 10)
    assert model.prompts[-1] == model.prompts[-2]


def test_overflow_is_one_of_two() -> None:
    with pytest.raises(ParameterError, match="'error' or 'drop_oldest', got 'shift'"):
        ChatSession(FakeModel(), overflow="shift")  # type: ignore[arg-type]
