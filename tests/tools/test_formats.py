"""The format of calls is read off the template; what it renders is what is parsed."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmlocal._chat._output import ToolCall, ToolFormat, find_formats, shows_results
from llmlocal._chat._output._call_parser import CallParser
from llmlocal._chat._output._find_format import OWN_FORMAT
from llmlocal._chat._output._format import Slot
from llmlocal._templates import ChatTemplate
from llmlocal.errors import TemplateError

from .families import ACTIONS, FAMILIES, HIDDEN, SINGLE, UNAWARE

QUESTION = {"role": "user", "content": "q"}
TEXTS = {"s", "t"}  # arguments that are strings


@cache
def formats(family: str) -> tuple[ToolFormat, ...]:
    return find_formats(ChatTemplate(FAMILIES[family]))


def rendered(family: str, calls: list[ToolCall], **more: Any) -> str:
    """The assistant's turn with these calls, as the template renders it."""
    template = ChatTemplate(FAMILIES[family])
    message = {
        "role": "assistant",
        "content": "",
        "tool_calls": [call.message for call in calls],
        **more,
    }
    whole = template.render([QUESTION, message], add_generation_prompt=False)
    return whole.removeprefix(template.render([QUESTION])).removesuffix("<|end|>")


def parsed(
    forms: tuple[ToolFormat, ...], text: str, cuts: list[int] | None = None
) -> list[tuple[str, Any]]:
    parser = CallParser(forms, lambda _tool, name: name in TEXTS)
    borders = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts or [])})
    for start, stop in pairwise(borders):
        parser.feed(text[start:stop])
    parser.flush()
    return [(call.name, call.arguments) for call in parser.calls]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_format_is_found(family: str) -> None:
    form = formats(family)[0]
    assert form.is_native
    assert form.takes_tools
    assert Slot.NAME in form.call
    assert Slot.ARGUMENTS in form.call
    assert (form.between is None) == (family in SINGLE)


ARGUMENTS: dict[str, dict[str, Any]] = {
    "none": {},
    "a string": {"s": "Paris"},
    "an empty string": {"s": "", "t": "x"},
    "unicode": {"s": "Zürich 東京 😀\u2028", "t": "é"},
    "quotes": {"s": "say \"hi\" to 'them' \\ and `it`"},
    "newlines": {"s": "  one\n\n\ttwo\r\n three  "},
    "what looks like tags": {"s": "<b>x</b> [INST] {{ y }} </s> }] ) ,"},
    "numbers": {"n": -3, "f": 2.5},
    "true, false, none": {"a": True, "b": False, "c": None},
    "lists": {"l": [1, "a", [True, None]], "e": []},
    "objects": {"o": {"k": {"m": [{"x": "y"}]}}, "e": {}},
    "many": {"s": "a", "n": 1, "o": {"t": "b"}, "l": ["c"], "t": "d"},
}


@pytest.mark.parametrize("arguments", ARGUMENTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_template_renders_is_parsed(family: str, arguments: str) -> None:
    given_arguments = ARGUMENTS[arguments]
    call = ToolCall("abcdefgh1", "get_it", json.dumps(given_arguments, ensure_ascii=False))
    text = rendered(family, [call])
    assert parsed(formats(family), text) == [("get_it", given_arguments)]
    assert parsed(formats(family), text, list(range(len(text)))) == [("get_it", given_arguments)]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.text("ab\"'\\{}[],: \n<é", max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("kmp"), inner, max_size=3)
    ),
    max_leaves=6,
)
CALL = st.tuples(
    st.sampled_from(["f", "get_weather", "a-b"]),
    st.fixed_dictionaries(
        {},
        optional={
            "s": st.text("ab\"'\\{}[]() ,:\n<>/é=", max_size=12),
            "t": st.text("xyz ", max_size=5),
            "n": st.integers(-(10**9), 10**9),
            "v": VALUES.filter(lambda value: not isinstance(value, str)),
        },
    ),
)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=12)
@given(calls=st.lists(CALL, min_size=1, max_size=3), cuts=st.lists(st.integers(0, 400)))
def test_calls_survive_the_round_trip(
    family: str, calls: list[tuple[str, dict[str, Any]]], cuts: list[int]
) -> None:
    if family in SINGLE:
        calls = calls[:1]
    made = [
        ToolCall(f"abcdefgh{i}", name, json.dumps(arguments, ensure_ascii=False))
        for i, (name, arguments) in enumerate(calls)
    ]
    assert parsed(formats(family), rendered(family, made), cuts) == calls


@pytest.mark.parametrize("family", FAMILIES)
def test_a_call_that_was_cut_is_no_text(family: str) -> None:
    call = ToolCall("abcdefgh1", "get_it", '{"s": "a", "n": 1}')
    text = rendered(family, [call])
    marker = formats(family)[0].marker
    for end in range(text.index(marker) + len(marker), len(text)):
        parser = CallParser(formats(family), lambda _tool, name: name in TEXTS)
        parts = [*parser.feed(text[:end]), *parser.flush()]
        assert "".join(part.text for part in parts if part.kind == "answer") == "", text[:end]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_format_writes_what_the_template_renders(family: str) -> None:
    if family == "text arguments":
        pytest.skip("the template has the text as it was written")
    arguments = json.dumps({"s": "a", "n": 1})
    calls = [ToolCall("abcdefgh1", "f", arguments), ToolCall("abcdefgh2", "g", arguments)]
    some = calls[:1] if family in SINGLE else calls
    assert rendered(family, some).strip() == formats(family)[0].write(some).strip()


@pytest.mark.parametrize("family", HIDDEN)
def test_a_template_that_hides_calls_has_a_known_format(family: str) -> None:
    form = find_formats(ChatTemplate(HIDDEN[family]))[0]
    assert form.takes_tools
    assert not form.is_native
    calls = [ToolCall("abcdefgh1", "f", '{"s": "a"}'), ToolCall("abcdefgh2", "g", "{}")]
    assert parsed((form,), form.write(calls)) == [("f", {"s": "a"}), ("g", {})]


def test_what_a_template_adds_to_every_conversation_is_no_part_of_the_calls() -> None:
    (form,) = find_formats(ChatTemplate(ACTIONS))
    assert form.marker == "Action:"
    assert not form.is_anywhere
    calls = [ToolCall("", "f", '{"s": "a"}'), ToolCall("", "g", "{}")]
    written = form.write(calls)
    assert "system" not in written
    assert parsed((form,), written) == [("f", {"s": "a"}), ("g", {})]
    spread = ChatTemplate(ACTIONS).render(
        [QUESTION, {"role": "assistant", "tool_calls": [call.message for call in calls]}],
        add_generation_prompt=False,
    )
    assert parsed((form,), spread.partition("<|assistant|>")[2]) == [("f", {"s": "a"}), ("g", {})]
    assert parsed((form,), "You take Action: now") == []


def test_a_template_that_knows_nothing_of_tools_gets_our_format() -> None:
    assert find_formats(ChatTemplate(UNAWARE)) == (OWN_FORMAT,)


def test_a_template_whose_calls_are_not_understood_is_refused() -> None:
    strange = FAMILIES["hermes"].replace("<tool_call>", "<tool_call to={{ f.name }}>")
    with pytest.raises(TemplateError, match="not known how this model calls"):
        find_formats(ChatTemplate(strange))


def test_whether_results_have_a_place() -> None:
    assert shows_results(ChatTemplate(FAMILIES["hermes"]))
    without = FAMILIES["hermes"].replace(
        "{% if m.role == 'tool' %}<|tool|>{{ m.content }}", "{% if m.role == 'tool' %}"
    )
    assert not shows_results(ChatTemplate(without))
