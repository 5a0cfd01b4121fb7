"""Which template a chat session uses, and what reaches it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmlocal._chat import ChatSession, as_messages, find_template, has_template, render
from llmlocal._templates import ChatTemplate
from llmlocal.errors import (
    ParameterError,
    TemplateError,
)

from .fake_model import FakeModel
from .talk import run


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
