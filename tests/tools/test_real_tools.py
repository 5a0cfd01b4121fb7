"""A model of 135 million weights calls tools, and never wrongly formed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from llmlocal import LLM

from ..real_models import real_model
from .validity import TOOLS, ask, questions

pytestmark = pytest.mark.real_model


@pytest.fixture(scope="module")
def llm() -> Iterator[LLM]:
    path = real_model("smollm2-135m-instruct")
    with LLM(path, n_ctx=4096, n_threads=2, device="cpu", progress=False) as model:
        yield model


@pytest.mark.parametrize("choice", ["required", "auto", "none"])
def test_calls_are_well_formed_and_valid(llm: LLM, choice: str) -> None:
    most = 100 if choice == "required" else 24
    tally = ask(llm, questions(5), choice, tools=TOOLS[:6], max_tokens=most)
    assert tally.problems == []
    if choice == "required":
        assert tally.called >= tally.asked - tally.cut > 0
    if choice == "none":
        assert tally.called == 0


def test_a_named_tool_is_called_once(llm: LLM) -> None:
    def weather(city: str) -> str:
        """The weather forecast."""
        return f"It rains in {city}."

    session = llm.chat_session(tools=[weather], temp=0, max_tokens=40)
    reply = session.run("What is the weather in Paris?", tool_choice="weather")
    called, result = session.history[1:3]
    assert [call["function"]["name"] for call in called["tool_calls"]] == ["weather"]
    assert result["content"].startswith("It rains in ")
    assert reply == session.history[-1]["content"]


def test_an_answer_is_calls_or_obeys_the_schema(llm: LLM) -> None:
    schema = {
        "type": "object",
        "properties": {"mood": {"enum": ["good", "bad"]}},
        "required": ["mood"],
        "additionalProperties": False,
    }
    tools = TOOLS[7:9]
    for seed in range(3):
        reply = llm.chat(
            "How are you?", tools=tools, schema=schema, temp=1.5, seed=seed, max_tokens=60
        )
        if reply.finish_reason == "tool_calls":
            assert reply.parsed is None
            assert not reply
        elif reply.finish_reason == "stop":
            assert reply.parsed["mood"] in ("good", "bad")
    answer = llm.chat("How are you?", tools=tools, schema=schema, tool_choice="none", temp=0)
    assert answer.parsed["mood"] in ("good", "bad")
