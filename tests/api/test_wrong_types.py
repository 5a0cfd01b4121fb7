"""Arguments of wrong types: each is refused with its name, and never in the words of the bindings."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmlocal import LLM, ChatSession, LLMLocalError
from llmlocal.errors import ParameterError

from ..conftest import OpenTiny, TinyPath


@pytest.fixture(scope="module")
def nested() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.fixture
def llm(open_tiny: OpenTiny) -> LLM:
    return open_tiny()


@pytest.mark.parametrize("name", ["n_batch", "n_parallel"])
@pytest.mark.parametrize("value", [None, "8", 1.5, True, 0])
def test_a_number_of_a_load(name: str, value: object, tiny_path: TinyPath) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(ParameterError, match=rf"^{name} must be a whole number"):
        LLM(tiny_path("llama"), **options)


CALLS: dict[str, tuple[Callable[[Any, Any], object], str]] = {
    "add_special": (lambda llm, value: llm.tokenize("a", add_special=value), "add_special"),
    "parse_special": (lambda llm, value: llm.tokenize("a", parse_special=value), "parse_special"),
    "special": (lambda llm, value: llm.detokenize([1], special=value), "special"),
    "name": (lambda llm, value: llm.chat_template(name=value), "name must be a str"),
    "text": (lambda llm, value: llm.tokenize(value), "text must be a str"),
    "template": (lambda llm, value: llm.chat("a", template=value), "template must be"),
    "prompt": (lambda llm, value: llm.generate(value), "prompt|token ids"),
    "stop": (lambda llm, value: llm.generate("a", stop=value), "stop must hold"),
    "temp": (lambda llm, value: llm.generate("a", temp=value), "temp must be"),
    "seed": (lambda llm, value: llm.generate("a", seed=value), "seed must be"),
    "callback": (lambda llm, value: llm.generate("a", callback=value), "callback must be"),
    "logit_bias": (lambda llm, value: llm.generate("a", logit_bias=value), "logit_bias"),
}


@pytest.mark.parametrize(("call", "message"), CALLS.values(), ids=CALLS.keys())
def test_a_value_of_another_type(
    call: Callable[[Any, Any], object], message: str, llm: LLM, nested: list[Any]
) -> None:
    for value in (object(), [5.5], nested, {"a": nested}):
        with pytest.raises(ParameterError, match=message):
            call(llm, value)


def test_a_template_that_is_a_path_says_what_to_do(llm: LLM) -> None:
    template: Any = Path("chat.jinja")
    with pytest.raises(ParameterError, match="read the file and pass its text"):
        llm.chat("a", template=template)


@pytest.mark.parametrize("name", ["tools", "documents", "variables", "messages", "template"])
@pytest.mark.parametrize("value", [1, [1], "x", {"a": 1}, True])
def test_a_saved_session_with_a_value_of_another_type(name: str, value: object, llm: LLM) -> None:
    """It is refused when it is read, or at the next answer, or it is of use."""
    saved = json.loads(llm.chat_session().to_json())
    saved[name] = value
    with contextlib.suppress(LLMLocalError):
        ChatSession.from_json(llm, json.dumps(saved)).generate("a", max_tokens=1)
