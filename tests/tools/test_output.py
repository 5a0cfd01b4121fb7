"""Generated text is told apart while it comes: nothing of a marker leaks, and no call is lost."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmlocal._chat._output import CallPart, OutputParser, find_formats
from llmlocal._templates import ChatTemplate, Part, ReasoningSplitter, ReasoningTags

from .families import FAMILIES

TAGS = ReasoningTags("<think>", "</think>")
HERMES = find_formats(ChatTemplate(FAMILIES["hermes"]))
LLAMA = find_formats(ChatTemplate(FAMILIES["llama 3"]))
CODER = find_formats(ChatTemplate(FAMILIES["qwen coder"]))
MISTRAL = find_formats(ChatTemplate(FAMILIES["mistral"]))
SOLAR = find_formats(ChatTemplate(FAMILIES["solar"]))
PARIS = '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>'
NOW = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
CODER_CALL = (
    '<tool_call>\n<function=weather>\n<parameter=city>\n a\n"b" \n</parameter>\n'
    "<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>"
)
LIST = '<tool_call>\n{"name": "f", "arguments": [1]}\n</tool_call>'
WEATHER_CALL = ("weather", '{"city": "Paris"}')


class Heard:
    """What a parser says of a text that comes in pieces."""

    def __init__(self, pieces: list[str], forms: Any = HERMES, *, is_open: bool = False) -> None:
        parser = OutputParser(
            ReasoningSplitter(TAGS, is_open=is_open), forms, lambda _, name: name == "city"
        )
        self.parts: list[Part] = [part for piece in pieces for part in parser.feed(piece)]
        self.parts += parser.flush()
        self.calls = [(call.name, call.arguments_text) for call in parser.calls]

    def text(self, kind: str) -> str:
        return "".join(part.text for part in self.parts if part.kind == kind)


@pytest.mark.parametrize(
    ("text", "answer", "reasoning", "calls"),
    [
        (PARIS, "", "", [WEATHER_CALL]),
        (f"I look.\n{PARIS}", "I look.", "", [WEATHER_CALL]),
        (f"{PARIS}\n{NOW}", "", "", [WEATHER_CALL, ("now", "{}")]),
        (f"{PARIS}\nDone.", "Done.", "", [WEATHER_CALL]),
        (f"<think>\nhm\n</think>\n\n{PARIS}", "", "hm", [WEATHER_CALL]),
        # In reasoning that ends, it was a thought; in reasoning that doesn't, a call.
        (f"<think>or {PARIS}?</think>No.", "No.", f"or {PARIS}?", []),
        (f"<think>hm {PARIS}", "", "hm", [WEATHER_CALL]),
        ("<tool_call> is a tag", "<tool_call> is a tag", "", []),
        ("a < b <tool", "a < b <tool", "", []),
        (LIST, LIST, "", []),
        # Cut in the middle: no call, and nothing of it is text.
        ('Hi <tool_call>\n{"name": "f", "arguments": {"a": 1', "Hi", "", []),
        # The end may come before what closes a call.
        ('<tool_call>\n{"name": "f", "arguments": {"a": 1}', "", "", [("f", '{"a": 1}')]),
        ("", "", "", []),
    ],
)
def test_what_is_what(text: str, answer: str, reasoning: str, calls: list[Any]) -> None:
    for pieces in ([text], list(text)):
        heard = Heard(pieces)
        assert (heard.text("answer"), heard.text("reasoning"), heard.calls) == (
            answer,
            reasoning,
            calls,
        )


@pytest.mark.parametrize(
    ("forms", "text", "answer", "calls"),
    [
        (LLAMA, '{"name": "now", "parameters": {}}', "", [("now", "{}")]),
        (LLAMA, ' \n{"name": "now", "parameters": {}}', "", [("now", "{}")]),
        (LLAMA, 'So: {"name": "now", "parameters": {}}', None, []),
        (LLAMA, '{"nam": 1}', None, []),
        (CODER, "<tool_call>\n<function=now>\n</function>\n</tool_call>", "", [("now", "{}")]),
        (
            CODER,
            CODER_CALL,
            "",
            [("weather", '{"city": " a\\n\\"b\\" ", "days": 3}')],
        ),
        (
            MISTRAL,
            '[TOOL_CALLS][{"name": "now", "arguments": {}, "id": "123456789"}]',
            "",
            [("now", "{}")],
        ),
        (
            SOLAR,
            "<|tool_calls|><|call:begin|>123456789<|call:name|>now<|call:args|>{}<|call:end|><|calls|>",
            "",
            [("now", "{}")],
        ),
    ],
)
def test_other_formats(forms: Any, text: str, answer: str | None, calls: list[Any]) -> None:
    for pieces in ([text], list(text)):
        heard = Heard(pieces, forms)
        assert heard.calls == calls
        assert heard.text("answer") == (text if answer is None else answer)


PIECES = ["<tool_call>", "</tool_call>", "\n", '{"name": "', "now", '", "arguments": ', "{}", "}"]
SNIPPETS = st.sampled_from([*PIECES, PARIS, NOW, "<think>", "</think>", "a", " ", "<", "{"])


@given(
    text=st.lists(SNIPPETS, max_size=10).map("".join),
    cuts=st.lists(st.integers(0, 300)),
    is_open=st.booleans(),
)
def test_the_cuts_make_no_difference(text: str, cuts: list[int], is_open: bool) -> None:
    borders = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    pieces = [text[a:b] for a, b in pairwise(borders)]
    whole, cut = Heard([text], is_open=is_open), Heard(pieces, is_open=is_open)
    for kind in ("answer", "reasoning", "call", "arguments"):
        assert whole.text(kind) == cut.text(kind)
    assert whole.calls == cut.calls


@given(before=st.text("ab<\n {", max_size=8), after=st.text("ab<\n {", max_size=8))
def test_nothing_of_a_marker_leaks(before: str, after: str) -> None:
    heard = Heard(list(f"{before}{PARIS}{after}"))
    if heard.calls:
        assert "tool_call" not in heard.text("answer")
        assert "".join(heard.text("answer").split()) == "".join((before + after).split())


def test_a_call_streams_as_its_name_and_then_its_arguments() -> None:
    heard = Heard(list(f"{PARIS}\n{NOW}"))
    kinds = [part.kind for part in heard.parts]
    names = [part.text for part in heard.parts if part.kind == "call"]
    assert kinds[0] == "call"
    assert names == ["weather", "now"]
    assert len([kind for kind in kinds if kind == "arguments"]) > 5
    for number, (_, arguments) in enumerate([WEATHER_CALL, ("now", "{}")]):
        of_call = [p for p in heard.parts if isinstance(p, CallPart) and p.number == number]
        assert "".join(p.text for p in of_call if p.kind == "arguments") == arguments
        assert len({p.id for p in of_call}) == 1


def test_a_text_argument_streams_before_it_ends() -> None:
    parser = OutputParser(ReasoningSplitter(None), CODER, lambda _tool, _name: True)
    begun = "<tool_call>\n<function=write>\n<parameter=text>\nOnce upon"
    parts = [part for char in begun for part in parser.feed(char)]
    assert "".join(p.text for p in parts if p.kind == "arguments").startswith('{"text": "Once up')


def test_the_id_is_the_models_where_it_comes_first() -> None:
    text = (
        "<|tool_calls|><|call:begin|>123456789<|call:name|>now<|call:args|>{}<|call:end|><|calls|>"
    )
    parser = OutputParser(ReasoningSplitter(None), SOLAR)
    parser.feed(text)
    parser.flush()
    assert parser.calls[0].id == "123456789"
    assert len(Heard([PARIS]).parts[0].__dict__["id"]) == 9


def test_without_formats_all_is_text() -> None:
    assert Heard([PARIS], ()).text("answer") == PARIS
