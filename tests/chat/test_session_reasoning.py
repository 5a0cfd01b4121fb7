"""Reasoning in a chat session: kept apart from the answer, in replies and in streams."""

from __future__ import annotations

import copy
import pickle

import pytest

from llmlocal._chat import ChatSession, render
from llmlocal.errors import (
    ParameterError,
)

from .fake_model import TEMPLATE, THINKING, FakeModel
from .talk import run


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
