"""A chat session: what is sent, what is remembered, and what is left when a turn goes wrong."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import pickle
import sys
from collections.abc import Coroutine
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import pytest

from llmlocal._chat import ChatReply, ChatSession, as_messages, find_template, has_template, render
from llmlocal._templates import ChatTemplate
from llmlocal.errors import (
    ContextOverflowError,
    EngineError,
    ParameterError,
    RequestError,
    TemplateError,
)

from .fake_model import TEMPLATE, THINKING, FakeModel

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


def roles(session: ChatSession) -> str:
    return "".join(message["role"][0] for message in session.history)


def said(session: ChatSession) -> list[str]:
    return [message["content"] for message in session.history]


# -- turns --------------------------------------------------------------------------------------


def test_each_turn_sends_all_that_was_said() -> None:
    model = FakeModel("A", "B")
    session = ChatSession(model, system="S")

    assert session.generate("one") == "A"
    assert session.generate("two") == "B"

    assert model.prompts == [
        "<system>S</><user>one</><assistant>",
        "<system>S</><user>one</><assistant>A</><user>two</><assistant>",
    ]
    assert session.history == [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "A"},
        {"role": "user", "content": "two"},
        {"role": "assistant", "content": "B"},
    ]


def test_the_reply_has_the_facts_of_its_generation() -> None:
    reply = ChatSession(FakeModel("abc")).generate("hi")
    assert (reply.finish_reason, reply.seed, reply.usage.completion_tokens) == ("stop", 7, 3)
    assert (reply.reasoning, reply.dropped_messages, reply.is_partial) == ("", 0, False)


def test_options_are_the_sessions_unless_the_turn_says_else() -> None:
    model = FakeModel()
    session = ChatSession(model, temp=0, seed=1)
    session.generate("hi", seed=2)
    session.generate("hi", max_tokens=5)
    assert model.options == [
        {"max_tokens": None, "temp": 0, "seed": 2},
        {"max_tokens": 5, "temp": 0, "seed": 1},
    ]


def test_a_streamed_turn_is_the_same_turn() -> None:
    model = FakeModel("abc", "d")
    session = ChatSession(model)
    stream = session.generate("hi", streaming=True)
    assert session.history == []
    assert list(stream) == ["a", "b", "c"]
    assert (stream.text, stream.result) == ("abc", "abc")
    assert said(session) == ["hi", "abc"]
    session.generate("go on")
    assert model.prompts[1] == "<user>hi</><assistant>abc</><user>go on</><assistant>"


def test_the_result_of_a_stream_waits_for_its_end() -> None:
    session = ChatSession(FakeModel("abc"))
    stream = session.generate("hi", streaming=True)
    assert next(stream) == "a"
    assert stream.result == "abc"
    assert list(stream) == ["b", "c"]
    assert said(session) == ["hi", "abc"]


def test_turns_in_an_event_loop() -> None:
    session = ChatSession(FakeModel("A", "bcd"))

    async def talk() -> tuple[ChatReply, list[str], ChatReply]:
        reply = await session.agenerate("one")
        stream = session.astream("two")
        return reply, [piece async for piece in stream], await stream.result()

    assert run(talk()) == ("A", ["b", "c", "d"], "bcd")
    assert said(session) == ["one", "A", "two", "bcd"]


def test_the_callback_sees_the_tokens() -> None:
    seen: list[tuple[int, str]] = []

    def callback(token: int, text: str) -> bool:
        seen.append((token, text))
        return True

    ChatSession(FakeModel("ab")).generate("hi", callback=callback)
    assert seen == [(97, "a"), (98, "b")]


def test_a_message_of_another_role_can_be_said() -> None:
    session = ChatSession(FakeModel("A", "B"))
    session.generate("weather?")
    session.generate({"role": "tool", "content": "rain", "name": "weather"})
    assert roles(session) == "uata"
    assert session.history[2] == {"role": "tool", "content": "rain", "name": "weather"}


def test_a_conversation_can_be_gone_on_with() -> None:
    model = FakeModel()
    messages = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "A"}]
    session = ChatSession(model, messages=messages, system="S")
    session.generate("two")
    assert model.prompts == ["<system>S</><user>one</><assistant>A</><user>two</><assistant>"]
    assert len(messages) == 2


def test_a_question_that_is_there_is_answered() -> None:
    session = ChatSession(FakeModel("A"), messages=[{"role": "user", "content": "one"}])
    assert session.generate() == "A"
    assert said(session) == ["one", "A"]


def test_an_answer_that_was_begun_is_continued() -> None:
    model = FakeModel("fine.", "B")
    begun = {"role": "assistant", "content": "I am ", "partial": "length", "name": "Al"}
    session = ChatSession(model, messages=[{"role": "user", "content": "how?"}, begun])
    assert session.generate() == "fine."
    assert model.prompts == ["<user>how?</><assistant>I am "]
    assert session.history[1:] == [{"role": "assistant", "content": "I am fine.", "name": "Al"}]
    assert begun["content"] == "I am "


def test_an_empty_session_has_nothing_to_answer() -> None:
    with pytest.raises(ParameterError, match="nothing to answer"):
        ChatSession(FakeModel()).generate()


@pytest.mark.parametrize("prompt", [5, ["hi"], {"content": "x"}, b"hi"])
def test_what_can_not_be_said_is_refused(prompt: Any) -> None:
    session = ChatSession(FakeModel())
    with pytest.raises(ParameterError):
        session.generate(prompt)
    assert session.generate("hi") == "ok"


# -- what is cut, and what fails ----------------------------------------------------------------


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


# -- one caller at a time -----------------------------------------------------------------------


def test_a_session_answers_one_at_a_time() -> None:
    session = ChatSession(FakeModel("abc", "d", "e"))
    stream = session.generate("hi", streaming=True)
    next(stream)
    busy = pytest.raises(RequestError, match=r"answering already.*fork")
    with busy:
        session.generate("more")
    with busy:
        session.undo()
    with busy:
        session.system = "S"
    with busy:
        run(session.agenerate("more"))
    assert session.fork().generate("meanwhile") == "d"
    assert list(stream) == ["b", "c"]
    assert session.generate("more") == "e"


def test_two_sessions_share_a_model() -> None:
    model = FakeModel("abc", "def")
    one, two = ChatSession(model), ChatSession(model)
    streams = [one.generate("1", streaming=True), two.generate("2", streaming=True)]
    assert [next(stream) for stream in streams * 3] == ["a", "d", "b", "e", "c", "f"]
    assert [stream.result for stream in streams] == ["abc", "def"]


# -- the conversation ---------------------------------------------------------------------------


def test_the_last_exchange_can_be_taken_back() -> None:
    session = ChatSession(FakeModel("A", "B"), system="S")
    session.generate("one")
    session.generate("two")
    assert [message["content"] for message in session.undo()] == ["two", "B"]
    assert said(session) == ["S", "one", "A"]
    session.undo()
    assert said(session) == ["S"]
    assert session.undo() == []


def test_the_history_can_be_edited() -> None:
    model = FakeModel("A", "B")
    session = ChatSession(model)
    session.generate("one")
    session.history[1]["content"] = "edited"
    session.generate("two")
    assert model.prompts[1] == "<user>one</><assistant>edited</><user>two</><assistant>"


def test_the_system_message_can_be_changed() -> None:
    session = ChatSession(FakeModel())
    assert session.system is None
    session.system = "S"
    session.generate("hi")
    session.system = "T"
    assert said(session) == ["T", "hi", "ok"]
    session.system = None
    assert (session.system, said(session)) == (None, ["hi", "ok"])


def test_there_is_one_system_message() -> None:
    with pytest.raises(ParameterError, match="both system= and a system message"):
        ChatSession(FakeModel(), system="S", messages=[{"role": "system", "content": "T"}])


def test_a_fork_goes_its_own_way() -> None:
    session = ChatSession(FakeModel("A", "B", "C"), variables={"x": 1}, temp=0)
    session.generate("one")
    twin = session.fork()
    twin.generate("two")
    twin.history[0]["content"] = "edited"
    twin.variables["x"] = 2
    twin.options["temp"] = 1
    session.generate("three")
    assert said(session) == ["one", "A", "three", "C"]
    assert said(twin) == ["edited", "A", "two", "B"]
    assert (session.variables, session.options) == ({"x": 1}, {"temp": 0})


def test_a_session_survives_as_json() -> None:
    model = FakeModel("A", "B")
    session = ChatSession(
        model,
        system="Sé",
        template=ChatTemplate(TEMPLATE),
        tools=[{"name": "t"}],
        documents=[{"text": "d"}],
        variables={"enable_thinking": False},
        overflow="drop_oldest",
        temp=0,
        stop=["x"],
        logit_bias={5: 1.5},
    )
    session.generate("one")

    again = ChatSession.from_json(model, session.to_json())

    assert again.history == session.history
    assert again.options == {"temp": 0, "stop": ["x"], "logit_bias": {5: 1.5}}
    assert again.to_json() == session.to_json()
    again.generate("two")
    assert model.prompts[1].startswith(
        "<system>Sé\n\n# Tools"
    )  # the template has no place for them
    assert model.prompts[1].endswith("</><user>one</><assistant>A</><user>two</><assistant>")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"format": "other"}, "this is 'other'"),
        ({"messages": 5}, "not a saved chat session"),
        ({"messages": [{"role": "<s>"}]}, "not a saved chat session.*role"),
        ({"overflow": "x"}, "not a saved chat session.*overflow"),
        ({"options": 5}, "not a saved chat session"),
        ({"first": None}, "not a saved chat session"),
    ],
)
def test_what_is_no_session_is_named(change: dict[str, Any], complaint: str) -> None:
    saved = json.loads(ChatSession(FakeModel()).to_json())
    with pytest.raises(ParameterError, match=complaint):
        ChatSession.from_json(FakeModel(), json.dumps({**saved, **change}))


@pytest.mark.parametrize("text", ["", "[]", "{}", "5", "[" * 100_000])
def test_what_is_no_json_is_named(text: str) -> None:
    with pytest.raises(ParameterError, match="not a saved chat session"):
        ChatSession.from_json(FakeModel(), text)


# -- reasoning ----------------------------------------------------------------------------------


def test_reasoning_is_kept_apart() -> None:
    session = ChatSession(FakeModel("<think>\nhm\n</think>\n\n42", template=THINKING))
    reply = session.generate("q")
    assert (reply, reply.reasoning) == ("42", "hm")
    assert session.history[-1] == {"role": "assistant", "content": "42", "reasoning_content": "hm"}


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ("<think>\nhm\n</think>\n\n42", len("<think>\nhm\n</think>")),
        ("<think>hm</think>", len("<think>hm</think>")),
        ("<think>hm, never done", len("<think>hm, never done")),
        ("42 </think>", 0),
    ],
)
def test_the_tokens_of_the_reasoning_are_counted(written: str, count: int) -> None:
    usage = ChatSession(FakeModel(written, template=THINKING)).generate("q").usage
    assert (usage.completion_tokens, usage.reasoning_tokens) == (len(written), count)


def test_reasoning_is_kept_apart_while_it_comes() -> None:
    session = ChatSession(FakeModel("<think>hm</think>42", template=THINKING))
    stream = session.generate("q", streaming=True)
    parts = list(stream.parts())
    assert "".join(part.text for part in parts if part.kind == "reasoning") == "hm"
    assert "".join(part.text for part in parts if part.kind == "answer") == "42"
    assert (stream.text, stream.reasoning, stream.result) == ("42", "hm", "42")


def test_iterating_gives_the_answer_only() -> None:
    session = ChatSession(
        FakeModel("<think>hm</think>42", "<think>hm</think>43", template=THINKING)
    )

    async def talk() -> list[str]:
        return [piece async for piece in session.astream("q")]

    assert list(session.generate("q", streaming=True)) == ["4", "2"]
    assert run(talk()) == ["4", "3"]


def test_a_template_may_open_the_reasoning() -> None:
    template = TEMPLATE.replace("<assistant>{% endif %}", "<assistant><think>\n{% endif %}")
    reply = ChatSession(FakeModel("hm\n</think>\n\n42", template=template)).generate("q")
    assert (reply, reply.reasoning) == ("42", "hm")


def test_a_template_without_reasoning_leaves_the_text_alone() -> None:
    reply = ChatSession(FakeModel("<think>hm</think>42")).generate("q")
    assert (reply, reply.reasoning) == ("<think>hm</think>42", "")


def test_reasoning_that_was_cut_can_be_continued() -> None:
    model = FakeModel("<think>hm", " yes</think>42", template=THINKING, finish_reason="length")
    session = ChatSession(model)
    session.generate("q")
    assert session.history[-1] == {
        "role": "assistant",
        "content": "",
        "reasoning_content": "hm",
        "partial": "length",
    }
    model.finish_reason = "stop"
    reply = session.generate()
    assert model.prompts[1] == "<user>q</><assistant><think>\nhm"
    assert (reply, reply.reasoning) == ("42", " yes")
    assert session.history[-1] == {
        "role": "assistant",
        "content": "42",
        "reasoning_content": "hm yes",
    }


def test_an_answer_after_reasoning_can_be_continued() -> None:
    model = FakeModel("</think> is right", template=THINKING)
    begun = {"role": "assistant", "content": "42", "reasoning_content": "hm"}
    session = ChatSession(model, messages=[{"role": "user", "content": "q"}, begun])
    assert session.generate() == "</think> is right"
    assert model.prompts == ["<user>q</><assistant><think>\nhm\n</think>\n\n42"]
    assert session.history[-1] == {**begun, "content": "42</think> is right"}


CONTROL_TEMPLATE = TEMPLATE + "{# [THINK] #}"
CONTROL_ANSWER = ["[THINK]", "h", "m", "[/THINK]", "4", "2"]


def thinking_in_control_tokens(*answers: list[str]) -> FakeModel:
    model = FakeModel(*answers, template=CONTROL_TEMPLATE)
    model.control = ("[THINK]", "[/THINK]")
    return model


def test_tags_that_are_control_tokens_are_seen() -> None:
    """Their text is not in what the model generates."""
    reply = ChatSession(thinking_in_control_tokens(CONTROL_ANSWER)).generate("q")
    assert (reply, reply.reasoning) == ("42", "hm")


def test_tags_that_are_control_tokens_are_seen_in_streams() -> None:
    session = ChatSession(thinking_in_control_tokens(CONTROL_ANSWER, CONTROL_ANSWER))
    stream = session.generate("q", streaming=True)
    assert "".join(part.text for part in stream.parts() if part.kind == "reasoning") == "hm"
    assert (stream.text, stream.result.reasoning) == ("42", "hm")

    async def talk() -> list[str]:
        return [piece async for piece in session.astream("q")]

    assert "".join(run(talk())) == "42"
    assert session.history[-1]["reasoning_content"] == "hm"


def test_the_callers_callback_is_told_too() -> None:
    seen: list[str] = []

    def callback(_: int, text: str) -> bool:
        seen.append(text)
        return text != "4"

    session = ChatSession(thinking_in_control_tokens(CONTROL_ANSWER, CONTROL_ANSWER))
    reply = session.generate("q", callback=callback)
    assert seen == ["", "h", "m", "", "4"]
    assert (reply, reply.reasoning, reply.finish_reason) == ("4", "hm", "cancelled")
    assert list(session.generate("q", callback=callback, streaming=True)) == []
    assert session.history[-1]["content"] == "4"


def test_what_was_refused_is_not_passed_on_even_if_it_was_held_back() -> None:
    session = ChatSession(FakeModel(["<thi"], template=THINKING))
    stream = session.generate("q", streaming=True, callback=lambda *_: False)
    assert list(stream.parts()) == []
    assert stream.result == "<thi"


def test_what_was_begun_has_its_tags_as_control_tokens() -> None:
    model = thinking_in_control_tokens(["."])
    begun = {"role": "assistant", "content": "42", "reasoning_content": "[/THINK]"}
    ChatSession(model, messages=[{"role": "user", "content": "q"}, begun]).generate()
    prompt = render(model, [{"role": "user", "content": "q"}, begun])
    assert prompt.segments[-4:] == (
        ("[THINK]\n", True),
        ("[/THINK]", False),
        ("\n[/THINK]\n\n", True),
        ("42", False),
    )


def test_channels() -> None:
    """As gpt-oss writes: analysis and final answer, or the final answer alone."""
    template = TEMPLATE + "{# <|channel|>analysis<|message|> #}"
    analysis = ["<|channel|>", "analysis", "<|message|>", "hm", "<|end|>", "<|start|>", "assistant"]
    final = ["<|channel|>", "final", "<|message|>"]
    model = FakeModel([*analysis, *final, "42"], [*final, "43"], template=template)
    model.control = ("<|channel|>", "<|message|>", "<|end|>", "<|start|>")
    session = ChatSession(model)
    first, second = session.generate("q"), session.generate("q")
    assert (first, first.reasoning) == ("42", "hm")
    assert (second, second.reasoning) == ("43", "")


def test_a_reply_can_be_copied() -> None:
    reply = ChatSession(FakeModel("<think>hm</think>42", template=THINKING)).generate("q")
    for again in (copy.copy(reply), pickle.loads(pickle.dumps(reply))):
        assert (again, again.reasoning, again.seed, again.message) == ("42", "hm", 7, reply.message)


def test_a_history_that_was_spoilt_is_named() -> None:
    session = ChatSession(FakeModel())
    session.history.append({"content": "x"})
    with pytest.raises(ParameterError, match=r"messages\[0\] has the role None"):
        session.generate("hi")


# -- overflow -----------------------------------------------------------------------------------


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


# -- templates ----------------------------------------------------------------------------------


def test_the_template_may_come_from_elsewhere() -> None:
    model = FakeModel("A", "B", "C")
    model.named["short"] = "[{{ messages[0].content }}]"
    ChatSession(model, template="short").generate("1")
    ChatSession(model, template="({{ messages[0].content }})").generate("2")
    ChatSession(model, template=ChatTemplate("<{{ messages[0].content }}>")).generate("3")
    assert model.prompts == ["[1]", "(2)", "<3>"]


def test_tools_have_a_template_of_their_own() -> None:
    model = FakeModel("A", "B")
    model.named["tool_use"] = (
        "{{ tools[0].function.name }}{% for m in messages if m.tool_calls %}"
        "{% for c in m.tool_calls %}<call>{{ c.function | tojson }}</call>{% endfor %}{% endfor %}"
    )
    ChatSession(model, tools=[{"name": "weather"}]).generate("1")
    ChatSession(model).generate("1")
    assert model.prompts == ["weather", "<user>1</><assistant>"]


def test_a_missing_template_is_named() -> None:
    model = FakeModel(template=None)
    with pytest.raises(TemplateError, match="has no chat template; pass one"):
        find_template(model)
    model.named = {"rag": "x", "tool_use": "y"}
    with pytest.raises(TemplateError, match="no chat template 'other'; it has: rag, tool_use"):
        find_template(model, "other")


def test_a_file_without_a_template_has_the_catalogs() -> None:
    model = FakeModel(template=None)
    model.path = Path("/models/orca-2-7b.Q4_0.gguf")
    assert render(model, as_messages("hi")).startswith("<|im_start|>user\nhi<|im_end|>")
    model.template = "{{ messages[0].content }}"
    assert render(model, as_messages("hi")) == "hi"


def test_whether_a_model_can_chat_is_known() -> None:
    model = FakeModel()
    assert has_template(model)
    model.template = None
    assert not has_template(model)
    model.path = Path("/models/orca-2-7b.Q4_0.gguf")
    assert has_template(model)


def test_variables_and_documents_reach_the_template() -> None:
    model = FakeModel("A", template="{{ mode }}{{ documents[0].text }}{{ eos_token }}")
    model.eos_token = "<e>"
    ChatSession(model, variables={"mode": "m"}, documents=[{"text": "d"}]).generate("1")
    assert model.prompts == ["md<e>"]


def test_variables_of_one_answer_go_on_top_of_the_sessions() -> None:
    model = FakeModel(template="{{ a }}{{ b }}")
    session = ChatSession(model, variables={"a": "1", "b": "2"})
    session.generate("x", variables={"b": "3"})
    list(session.generate("x", variables={"b": "4"}, streaming=True))
    session.generate("x")

    async def talk() -> None:
        await session.agenerate("x", variables={"b": "5"})
        await session.astream("x", variables={"b": "6"}).result()

    run(talk())
    assert model.prompts == ["13", "14", "12", "15", "16"]


def test_a_prompt_can_be_seen_without_being_sent() -> None:
    model = FakeModel()
    prompt = render(model, as_messages("hi", "S"))
    assert prompt == "<system>S</><user>hi</><assistant>"
    assert prompt.segments[1] == ("S", False)
    assert model.prompts == []


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"temp": -1}, ParameterError, "temp must be a finite number >= 0, got -1"),
        ({"stop": 5}, ParameterError, "stop must hold non-empty strings"),
        ({"temperature": 1}, TypeError, "there is no option 'temperature'; did you mean 'temp'"),
    ],
)
def test_options_are_checked_when_a_session_is_made(
    options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ChatSession(FakeModel(), **options)


@pytest.mark.parametrize("messages", [None, 5, b"hi", {"role": "user", "content": "hi"}])
def test_messages_that_are_no_list(messages: Any) -> None:
    with pytest.raises(ParameterError, match="messages must be a list of dicts"):
        ChatSession(FakeModel(), messages=messages)


def test_an_empty_template_is_none() -> None:
    session = ChatSession(FakeModel(), template=" ")
    with pytest.raises(TemplateError, match="the chat template is empty"):
        session.generate("hello")


def test_an_empty_prompt_is_named() -> None:
    session = ChatSession(FakeModel(template="{# nothing #}"))
    with pytest.raises(TemplateError, match="empty prompt"):
        session.generate("hi")
    assert session.history == []
