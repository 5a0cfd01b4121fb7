"""A chat session: what is sent, what is remembered, and how its conversation can be changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmlocal._chat import ChatReply, ChatSession
from llmlocal._templates import ChatTemplate
from llmlocal.errors import (
    ParameterError,
    RequestError,
)

from .fake_model import TEMPLATE, FakeModel
from .talk import roles, run, said

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
