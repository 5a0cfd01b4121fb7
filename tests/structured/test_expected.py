"""A model's vocabulary is prepared in the background once constraints are to be expected."""

from __future__ import annotations

from typing import Any

import pytest

from llmlocal import LLM
from llmlocal.errors import EngineClosedError, TemplateError

from ..conftest import OpenTiny

TEMPLATE = "{{ messages[-1].content }}"


def weather(city: str) -> str:
    """The weather."""
    return city


def is_begun(llm: LLM) -> bool:
    return llm._generator._guide._vocabulary is not None


@pytest.mark.parametrize(
    ("options", "begins"),
    [
        ({}, False),
        ({"temp": 0.1, "schema": None, "tools": []}, False),
        ({"schema": {"type": "boolean"}}, True),
        ({"choices": ["a", "b"]}, True),
        ({"tools": [weather]}, True),
    ],
)
def test_a_session_that_will_need_it(
    options: dict[str, Any], begins: bool, open_tiny: OpenTiny
) -> None:
    with open_tiny("llama") as llm:
        llm.generate("hello", max_tokens=1)
        llm.chat_session(**options)
        assert is_begun(llm) is begins


def test_a_chat_begins_before_its_prompt_is_written(open_tiny: OpenTiny) -> None:
    with open_tiny("llama") as llm:
        session = llm.chat_session(template="{{ raise_exception('no') }}")
        with pytest.raises(TemplateError):
            session.generate("?")
        assert not is_begun(llm)
        with pytest.raises(TemplateError):
            session.generate("?", choices=["a"])
        assert is_begun(llm)


def test_it_is_begun_once(open_tiny: OpenTiny) -> None:
    with open_tiny("llama") as llm:
        session = llm.chat_session(template=TEMPLATE, choices=["a"])
        begun = llm._generator._guide._vocabulary
        assert session.generate("?") == "a"
        llm.chat_session(choices=["b"])
        assert llm._generator._guide._vocabulary is begun


def test_a_model_may_be_closed_meanwhile(open_tiny: OpenTiny) -> None:
    llm = open_tiny("llama")
    session = llm.chat_session(template=TEMPLATE, choices=["a"])
    llm.close()
    with pytest.raises(EngineClosedError):
        session.generate("?")
    llm.chat_session(choices=["a"])
