"""A turn that is cut, or goes wrong: what is remembered of it, and what is left."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import Any

import pytest

from llmlocal._chat import ChatReply, ChatSession
from llmlocal.errors import (
    EngineError,
    ParameterError,
    RequestError,
    TemplateError,
)

from .fake_model import TEMPLATE, FakeModel
from .talk import run, said


@pytest.mark.parametrize("reason", ["length", "timeout", "cancelled"])
def test_a_cut_answer_is_remembered_as_such(reason: Any) -> None:
    session = ChatSession(FakeModel("ab", finish_reason=reason))
    reply = session.generate("hi")
    assert reply.is_partial
    assert session.history[-1] == {"role": "assistant", "content": "ab", "partial": reason}


def test_the_mark_of_a_cut_answer_is_not_sent() -> None:
    model = FakeModel("ab", "c", finish_reason="length")
    session = ChatSession(model)
    session.generate("hi")
    session.generate("go on")
    assert model.prompts[1] == "<user>hi</><assistant>ab</><user>go on</><assistant>"


def test_an_empty_answer_that_is_complete_is_remembered() -> None:
    session = ChatSession(FakeModel(""))
    session.generate("hi")
    assert said(session) == ["hi", ""]


def test_a_turn_cut_before_the_first_word_leaves_no_trace() -> None:
    session = ChatSession(FakeModel("", finish_reason="timeout"))
    assert session.generate("hi").finish_reason == "timeout"
    assert session.history == []


def test_a_closed_stream_leaves_what_was_read() -> None:
    model = FakeModel("abc", "d")
    session = ChatSession(model)
    with session.generate("hi", streaming=True) as stream:
        assert next(stream) == "a"
    assert model.cancelled.is_set()
    assert session.history[-1] == {"role": "assistant", "content": "a", "partial": "cancelled"}
    assert list(stream) == []
    assert (stream.result, stream.result.finish_reason) == ("a", "cancelled")
    stream.close()
    assert session.generate("more") == "d"


def test_a_dropped_stream_is_closed() -> None:
    session = ChatSession(FakeModel("abc", "d"))
    for _ in session.generate("hi", streaming=True):
        break
    gc.collect()
    assert session.history[-1] == {"role": "assistant", "content": "a", "partial": "cancelled"}
    assert session.generate("more") == "d"


def test_a_stream_closed_at_its_last_piece_is_cut() -> None:
    """Nobody has seen that it was the last."""
    session = ChatSession(FakeModel("ab"))
    stream = session.generate("hi", streaming=True)
    assert next(stream) + next(stream) == "ab"
    stream.close()
    assert (stream.result, stream.result.finish_reason) == ("ab", "cancelled")
    assert session.history[-1]["partial"] == "cancelled"


def test_a_cancelled_stream_can_be_read_to_its_end() -> None:
    model = FakeModel("abc")
    session = ChatSession(model)
    stream = session.generate("hi", streaming=True)
    model.on_piece = lambda number: stream.cancel() if number == 2 else None
    assert list(stream) == ["a", "b"]
    assert stream.result.finish_reason == "cancelled"
    assert session.history[-1]["partial"] == "cancelled"


def test_a_callback_that_has_enough_cuts_the_answer() -> None:
    session = ChatSession(FakeModel("abc"))
    assert session.generate("hi", callback=lambda _, text: text != "b") == "ab"
    assert session.history[-1] == {"role": "assistant", "content": "ab", "partial": "cancelled"}


@pytest.mark.parametrize("streaming", [False, True])
def test_a_failure_leaves_the_session_as_it_was(streaming: bool) -> None:
    session = ChatSession(FakeModel(EngineError("broken"), "A"))
    with pytest.raises(EngineError, match="broken"):
        list(session.generate("hi", streaming=streaming))
    assert session.history == []
    assert session.generate("again") == "A"


def test_a_prompt_that_can_not_be_made_leaves_the_session_as_it_was() -> None:
    session = ChatSession(FakeModel("A", template="{{ raise_exception('no') }}"))
    with pytest.raises(TemplateError, match="no"):
        session.generate("hi")
    session.template = TEMPLATE
    assert session.generate("hi") == "A"


def test_ctrl_c_keeps_what_was_read() -> None:
    model = FakeModel("abc", "d")
    session = ChatSession(model)

    def interrupt(number: int) -> None:
        if number == 2:
            raise KeyboardInterrupt

    model.on_piece = interrupt
    stream = session.generate("hi", streaming=True)
    with pytest.raises(KeyboardInterrupt):
        list(stream)
    assert session.history[-1] == {"role": "assistant", "content": "ab", "partial": "cancelled"}
    assert session.generate("more") == "d"


class Blocking:
    """An event loop's way to stop at a piece."""

    def __init__(self, model: FakeModel, at: int) -> None:
        self.reached = asyncio.Event()

        def on_piece(number: int) -> None:
            if number == at:
                self.reached.set()
                raise asyncio.CancelledError

        model.on_piece = on_piece


def test_a_cancelled_task_keeps_what_was_read() -> None:
    model = FakeModel("abc", "d")
    session = ChatSession(model)

    async def talk() -> None:
        Blocking(model, 1)
        with pytest.raises(asyncio.CancelledError):
            async for _ in session.astream("hi"):
                pass

    run(talk())
    assert model.cancelled.is_set()
    assert session.history[-1] == {"role": "assistant", "content": "a", "partial": "cancelled"}
    assert session.generate("more") == "d"


def test_a_cancelled_task_without_a_stream_leaves_no_trace() -> None:
    model = FakeModel("abc", "d")
    session = ChatSession(model)

    async def talk() -> None:
        Blocking(model, 1)
        with pytest.raises(asyncio.CancelledError):
            await session.agenerate("hi")

    run(talk())
    assert session.history == []
    assert session.generate("more") == "d"


def test_an_asynchronous_stream_can_be_left() -> None:
    model = FakeModel("abc", "d")
    session = ChatSession(model)

    async def talk() -> ChatReply:
        async with session.astream("hi") as stream:
            async for _ in stream:
                break
        return await stream.result()

    assert run(talk()) == "a"
    assert session.history[-1] == {"role": "assistant", "content": "a", "partial": "cancelled"}
    assert session.generate("more") == "d"


def test_an_asynchronous_stream_makes_no_task_for_a_piece() -> None:
    """An abandoned generator would have the loop make one to close it."""
    session = ChatSession(FakeModel("word " * 50))

    async def main() -> None:
        made: list[object] = []
        before = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=made.append, finalizer=before.finalizer)
        pieces = [piece async for piece in session.astream("hi")]
        sys.set_asyncgen_hooks(*before)
        assert len(pieces) > 40
        assert made == []

    run(main())


@pytest.mark.parametrize("overflow", ["error", "drop_oldest"])
@pytest.mark.parametrize("wrong", ["5", 1.5])
def test_a_wrong_max_tokens(wrong: Any, overflow: Any) -> None:
    session = ChatSession(FakeModel("x"), overflow=overflow)
    with pytest.raises(ParameterError, match="max_tokens must be"):
        session.generate("hi", max_tokens=wrong)
    assert session.history == []


def test_a_misspelt_setting() -> None:
    with pytest.raises(TypeError, match="there is no option 'sytem'; did you mean 'system'"):
        ChatSession(FakeModel("x"), sytem="x")  # type: ignore[call-arg]


def test_a_dropped_asynchronous_stream_is_closed() -> None:
    session = ChatSession(FakeModel("abc", "d"))

    async def talk() -> str:
        stream = session.astream("hi")
        return await anext(stream)

    assert run(talk()) == "a"
    gc.collect()
    assert session.history[-1] == {"role": "assistant", "content": "a", "partial": "cancelled"}
    assert session.generate("more") == "d"


def test_an_asynchronous_stream_that_never_began_takes_nothing() -> None:
    session = ChatSession(FakeModel("A"))

    async def talk() -> None:
        stream = session.astream("hi")
        await stream.aclose()
        assert [piece async for piece in stream] == []
        with pytest.raises(RequestError, match="closed before it began"):
            await stream.result()
        del stream

    run(talk())
    assert session.generate("hi") == "A"


def test_an_asynchronous_failure_leaves_the_session_as_it_was() -> None:
    session = ChatSession(FakeModel(EngineError("broken"), "A"))

    async def talk() -> None:
        with pytest.raises(EngineError, match="broken"):
            async for _ in session.astream("hi"):
                pass

    run(talk())
    assert session.history == []
    assert session.generate("again") == "A"
