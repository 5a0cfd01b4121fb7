"""gpt4all's sessions: what is sent in each turn, what is remembered, what is logged."""

from __future__ import annotations

from typing import Any

import pytest

from llmlocal._chat import ChatSession
from llmlocal.errors import ContextOverflowError, EngineError
from llmlocal.gpt4all._choice import Choice
from llmlocal.gpt4all._sessions import Formatter, new_session

from ..chat.fake_model import TEMPLATE, FakeModel


def session(
    model: FakeModel,
    kind: Any = "format",
    template: str = "U:{0} A:",
    system: str = "",
    formatter: Formatter | None = None,
) -> ChatSession:
    return new_session(
        model, Choice(kind, template, system), formatter=formatter, always_has_system=True
    )


def logged(log: pytest.LogCaptureFixture) -> list[str]:
    return [str(record.args[0]) for record in log.records if isinstance(record.args, tuple)]


# -- formats ------------------------------------------------------------------------------------


def test_a_turn_is_appended_to_what_was_sent(caplog: pytest.LogCaptureFixture) -> None:
    model = FakeModel("one", "two")
    chat = session(model, system="S")
    chat.generate("1")
    chat.generate("2")
    assert model.prompts == ["S\n\nU:1 A:", "S\n\nU:1 A:one\n\nU:2 A:"]
    assert logged(caplog) == ["S\n\nU:1 A:", "U:2 A:"]
    assert [message["content"] for message in chat.history] == ["S", "1", "one", "2", "two"]


def test_what_follows_the_answer_is_appended_too() -> None:
    model = FakeModel("one", "two")
    chat = session(model, template="<u>{0}</u><a>{1}</a>")
    chat.generate("1")
    chat.generate("2")
    assert model.prompts[1] == "<u>1</u><a>one</a><u>2</u><a>"


def test_the_history_begins_with_a_system_entry() -> None:
    chat = session(FakeModel("one"))
    assert chat.history == [{"role": "system", "content": ""}]
    assert session(FakeModel(), kind="jinja", template=TEMPLATE).history == chat.history


def test_a_streamed_turn_is_remembered() -> None:
    model = FakeModel("one", "two")
    chat = session(model)
    assert list(chat.generate("1", streaming=True)) == ["o", "n", "e"]
    chat.generate("2")
    assert model.prompts[1] == "U:1 A:one\n\nU:2 A:"


def test_a_turn_that_fails_is_not_sent_again() -> None:
    model = FakeModel(EngineError("broken"), "two", "three")
    chat = session(model, system="S")
    with pytest.raises(EngineError):
        chat.generate("1")
    chat.generate("2")
    chat.generate("3")
    assert model.prompts[1:] == ["S\n\nU:2 A:", "S\n\nU:2 A:two\n\nU:3 A:"]


def test_a_history_that_was_set_is_formatted_again() -> None:
    model = FakeModel("one", "two")
    chat = session(model, system="S")
    chat.generate("1")
    chat.history = [
        {"role": "system", "content": "T"},
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": "y"},
    ]
    chat.generate("2")
    assert model.prompts[1] == "T\n\nU:x A:y\n\nU:2 A:"


def test_the_oldest_turns_are_dropped_and_the_system_text_stays() -> None:
    model = FakeModel(n_ctx=120)
    chat = session(model, system="SYSTEM")
    replies = [chat.generate(str(i) * 20, max_tokens=5) for i in range(8)]
    assert all(prompt.startswith("SYSTEM\n\nU:") for prompt in model.prompts)
    assert all(len(prompt) <= 115 for prompt in model.prompts)
    assert replies[-1].dropped_messages > 0
    with pytest.raises(ContextOverflowError):
        chat.generate("x" * 120)


# -- a subclass's formatter ---------------------------------------------------------------------


def shouting(calls: list[tuple[list[dict[str, Any]], str]]) -> Formatter:
    def formatter(messages: list[dict[str, Any]], header: str) -> str:
        calls.append((messages, header))
        return (f"{header}\n\n" if header else "") + f"<{messages[0]['content']}!>"

    return formatter


def test_a_formatter_is_called_once_for_each_turn() -> None:
    model, calls = FakeModel("one", "two"), []  # type: ignore[var-annotated]
    chat = session(model, system="S", formatter=shouting(calls))
    chat.generate("1")
    chat.generate("2")
    assert model.prompts == ["S\n\n<1!>", "S\n\n<1!>one\n\n<2!>"]
    assert calls == [
        ([{"role": "user", "content": "1"}], "S"),
        ([{"role": "user", "content": "2"}], ""),
    ]


def test_a_formatter_may_leave_the_system_text_out() -> None:
    model = FakeModel("one", "two")
    chat = session(model, system="S", formatter=lambda messages, _: f"[{messages[0]['content']}]")
    chat.generate("1")
    chat.generate("2")
    assert model.prompts == ["[1]", "[1]one\n\n[2]"]


class TokenModel(FakeModel):
    """One where ``<|x|>`` is a control token; remembers what it encoded."""

    control = ("<|x|>",)

    def encode_segments(self, segments: Any, /) -> list[int]:
        self.segments = [run for run in segments if run[0]]
        return super().encode_segments(self.segments)


def test_what_the_user_says_is_never_a_control_token() -> None:
    formats: list[Formatter | None] = [
        None,
        lambda messages, _: f"<|x|>{messages[0]['content']}<|x|>",
    ]
    for formatter in formats:
        model = TokenModel("one")
        session(model, template="<|x|>{0}<|x|>", formatter=formatter).generate("a<|x|>b")
        assert model.segments == [("<|x|>", True), ("a<|x|>b", False), ("<|x|>", True)]


def test_what_a_formatter_has_changed_is_not_trusted() -> None:
    model = TokenModel("one")
    session(model, formatter=lambda messages, _: messages[0]["content"].upper()).generate("a<|x|>b")
    assert model.segments == [("A<|X|>B", False)]


def test_a_formatters_own_tokens_are_trusted() -> None:
    model = TokenModel("one")
    session(model, formatter=lambda messages, _: f"<|x|>{messages[0]['content']}").generate("a")
    assert model.segments == [("<|x|>a", True)]


# -- Jinja --------------------------------------------------------------------------------------


def test_all_is_rendered_and_what_is_new_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    model = FakeModel("one", "two")
    chat = session(model, kind="jinja", template=TEMPLATE, system="S")
    chat.generate("1")
    chat.generate("2")
    assert model.prompts[1] == "<system>S</><user>1</><assistant>one</><user>2</><assistant>"
    assert logged(caplog) == ["<system>S</><user>1</><assistant>", "</><user>2</><assistant>"]


def test_an_empty_system_entry_is_not_rendered() -> None:
    model = FakeModel("one")
    session(model, kind="jinja", template=TEMPLATE).generate("1")
    assert model.prompts == ["<user>1</><assistant>"]


def test_a_history_without_a_system_entry_is_rendered() -> None:
    model = FakeModel("one")
    chat = session(model, kind="jinja", template=TEMPLATE)
    chat.history = []
    chat.generate("1")
    assert model.prompts == ["<user>1</><assistant>"]


def test_control_tokens_in_the_system_text_are_pointed_out() -> None:
    with pytest.warns(UserWarning, match="control tokens"):
        session(TokenModel("one"), kind="jinja", template=TEMPLATE, system="<|x|>")
