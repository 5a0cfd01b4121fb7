"""The grammar of an answer: what it takes is what was asked for, in every family's format."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any, Literal

import pytest

from llmlocal._chat._output import ToolCall, ToolFormat, find_formats
from llmlocal._chat._tools import Answer, as_tools, tool_grammar
from llmlocal._templates import ChatTemplate, ReasoningTags
from llmlocal.errors import ParameterError

from .accepting import accepts, problem_of
from .families import ACTIONS, FAMILIES, HIDDEN, UNAWARE

TAGS = ReasoningTags("<think>", "</think>")
ALL = {
    **FAMILIES,
    **{f"{name}, hidden": text for name, text in HIDDEN.items()},
    "own": UNAWARE,
    "actions": ACTIONS,
}


def weather(
    city: str, days: int = 1, unit: Literal["c", "f"] = "c", tags: list[str] | None = None
) -> str:
    """The weather."""
    return f"{city}{days}{unit}{tags}"


def now() -> str:
    """The time."""
    return ""


TOOLS = as_tools([weather, now])
FULL = json.dumps(
    {"city": 'Zü"rich\n<b>', "days": 2, "unit": "f", "tags": ["a"]}, ensure_ascii=False
)


@cache
def forms(family: str) -> tuple[ToolFormat, ...]:
    return find_formats(ChatTemplate(ALL[family]))


def acceptor(answer: Answer) -> Callable[[str], bool]:
    grammar = tool_grammar(answer, lambda _: {}, lambda _: False)
    assert not problem_of(grammar)
    return lambda text: accepts(grammar, text)


def written(family: str, *calls: tuple[str, str]) -> str:
    made = [ToolCall(f"abcdefgh{i}", *call) for i, call in enumerate(calls)]
    return forms(family)[0].write(made)


@pytest.mark.parametrize("family", ALL)
def test_a_required_call_is_a_call_that_the_schema_allows(family: str) -> None:
    accepts = acceptor(Answer(forms(family), TOOLS, "required"))
    assert accepts(written(family, ("weather", FULL)))
    assert accepts(written(family, ("weather", '{"city": ""}')))
    assert accepts(written(family, ("now", "{}")))
    assert not accepts("")
    assert not accepts("Hello")
    assert not accepts(written(family, ("weather", '{"days": 1}')))  # no city
    assert not accepts(written(family, ("weather", '{"city": "a", "days": "b"}')))
    assert not accepts(written(family, ("weather", '{"city": "a", "unit": "k"}')))
    assert not accepts(written(family, ("weather", '{"city": "a", "more": 1}')))
    assert not accepts(written(family, ("other", "{}")))
    assert not accepts(written(family, ("now", "{}"))[:-1])


@pytest.mark.parametrize("family", ALL)
def test_auto_is_text_or_calls(family: str) -> None:
    form = forms(family)[0]
    accepts = acceptor(Answer(forms(family), TOOLS, "auto"))
    call = written(family, ("weather", FULL))
    assert accepts("")
    assert accepts("Hello <b> [x] {1}!")
    assert accepts(call)
    if form.is_anywhere:
        assert accepts(f"I look it up.\n{call.lstrip()}")
        assert not accepts(f"I look it up.\n{form.marker} hm")
    assert not accepts(written(family, ("other", "{}")))


@pytest.mark.parametrize("family", ALL)
def test_none_is_text_without_a_call(family: str) -> None:
    accepts = acceptor(Answer(forms(family), TOOLS, "none"))
    assert accepts("Hello <b>!")
    assert not accepts(written(family, ("now", "{}")))


@pytest.mark.parametrize("family", ALL)
def test_text_that_has_to_obey_something_is_that_or_calls(family: str) -> None:
    text = '%json {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}'
    call = written(family, ("now", "{}"))
    held = Answer(forms(family), TOOLS, "auto", text=text)
    auto = acceptor(held)
    assert auto('{"n": 1}')
    assert auto(call)
    assert not auto("Hello")
    assert not auto(f"Hello {call}")
    assert not auto('{"n": "a"}')
    none = acceptor(replace(held, mode="none"))
    assert none('{"n": 1}')
    assert not none(call)
    assert not none("Hello")
    reasoned = acceptor(replace(held, reasoning=TAGS))
    assert reasoned('<think>hm</think>\n\n{"n": 1}')
    assert not reasoned("<think>hm</think>Hello")
    assert not reasoned("<think>hm")


@pytest.mark.parametrize("family", ALL)
def test_several_calls_only_where_they_may_be(family: str) -> None:
    if forms(family)[0].between is None:
        pytest.skip("one call at a time")
    several = written(family, ("weather", FULL), ("now", "{}"), ("weather", '{"city": "a"}'))
    for mode in ("auto", "required"):
        assert acceptor(Answer(forms(family), TOOLS, mode))(several)
        assert not acceptor(Answer(forms(family), TOOLS, mode, is_parallel=False))(several)


@pytest.mark.parametrize("family", ALL)
def test_reasoning_comes_first(family: str) -> None:
    call = written(family, ("now", "{}"))
    form = forms(family)[0]
    may = acceptor(Answer(forms(family), TOOLS, "required", reasoning=TAGS))
    assert may(call)
    assert may(f"<think>\nhm, a <b>\n</think>\n\n{call.lstrip()}")
    assert not may("<think>hm</think>Hello")
    opened = acceptor(Answer(forms(family), TOOLS, "required", reasoning=TAGS, is_open=True))
    assert opened(f"hm\n</think>\n\n{call.lstrip()}")
    assert not opened("hm\n</think>\n\nHello")
    auto = acceptor(Answer(forms(family), TOOLS, "auto", reasoning=TAGS, is_open=True))
    assert auto("hm</think>Hello")
    if form.is_anywhere:  # A call that begins in the reasoning is a whole one.
        assert auto(f"hm {call.lstrip()}")
        assert not auto(f"hm {form.marker} hm</think>")


def schema_of(argument: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "f",
        "parameters": {"type": "object", "properties": {"x": argument}, "required": ["x"]},
    }


@pytest.mark.parametrize("family", ["hermes", "qwen coder", "gemma 4", "lfm 2.5"])
@pytest.mark.parametrize(
    ("argument", "good", "bad"),
    [
        ({"type": "string", "enum": ["a b", "c"]}, ["a b"], ["a"]),
        ({"type": "string", "maxLength": 3}, ["abc", ""], ["abcd"]),
        ({"type": "string", "minLength": 2}, ["ab"], ["a"]),
        ({"type": "string", "pattern": "^[a-z]+$"}, ["abc"], ["aBc", ""]),
        ({"type": "integer", "minimum": 3, "maximum": 9}, [3, 9], [2, 10]),
        ({"type": "number"}, [1.5, -2], ["a"]),
        ({"type": "boolean"}, [True], [1]),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, [1, None], [True]),
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 2}, [[], [1, 2]], [[1, 2, 3]]),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
                "required": ["a"],
                "additionalProperties": False,
            },
            [{"a": "x"}, {"a": "x", "b": 1}],
            [{"b": 1}, {"a": 1}, {}],
        ),
    ],
)
def test_schemas_hold_in_every_notation(
    family: str, argument: dict[str, Any], good: list[Any], bad: list[Any]
) -> None:
    accepts = acceptor(Answer(forms(family), as_tools([schema_of(argument)]), "required"))
    for value in good:
        assert accepts(written(family, ("f", json.dumps({"x": value})))), value
    for value in bad:
        assert not accepts(written(family, ("f", json.dumps({"x": value})))), value


@pytest.mark.parametrize(
    ("family", "argument", "named"),
    [
        ("qwen coder", {"type": "string", "format": "hostname"}, "f.x: format 'hostname'"),
        ("qwen coder", {"type": "string", "contentEncoding": "base64"}, "f.x: contentEncoding"),
        ("gemma 4", {"type": "array", "items": {}, "uniqueItems": True}, r"\$.x.uniqueItems"),
    ],
)
def test_what_cant_be_enforced_is_refused(family: str, argument: Any, named: str) -> None:
    answer = Answer(forms(family), as_tools([schema_of(argument)]), "required")
    with pytest.raises(ParameterError, match=named):
        tool_grammar(answer, lambda _: {}, lambda _: False)


def test_control_tokens_are_written_by_id() -> None:
    def controls(text: str) -> dict[int, str]:
        known = {7: "<tool_call>", 8: "</tool_call>", 9: "<end>"}
        return {token: name for token, name in known.items() if name in text}

    form = forms("hermes")
    for mode in ("auto", "required"):
        grammar = tool_grammar(Answer(form, TOOLS, mode), controls, lambda _: False)
        assert "<[7]>" in grammar
        assert "<[8]>" in grammar
        assert '"<tool_call>' not in grammar


def test_a_token_that_ends_the_text_ends_the_call() -> None:
    def controls(text: str) -> dict[int, str]:
        return {8: "</tool_call>"} if "</tool_call>" in text else {}

    grammar = tool_grammar(Answer(forms("hermes"), TOOLS, "required"), controls, lambda t: t == 8)
    assert "<[8]>" not in grammar
    assert "</tool_call>" not in grammar
