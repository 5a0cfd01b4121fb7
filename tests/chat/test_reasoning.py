"""Reasoning is told from the answer, however the text is cut into pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmlocal._templates import ReasoningSplitter, ReasoningTags
from llmlocal._templates._reasoning import Part, reasoning_tags

TAGS = ReasoningTags("<think>", "</think>")


def split(
    pieces: list[str], tags: ReasoningTags | None = TAGS, *, is_open: bool = False
) -> tuple[str, str]:
    """The reasoning and the answer."""
    splitter = ReasoningSplitter(tags, is_open=is_open)
    parts = [part for piece in pieces for part in splitter.feed(piece)] + splitter.flush()
    return joined(parts, "reasoning"), joined(parts, "answer")


def joined(parts: list[Part], kind: str) -> str:
    return "".join(part.text for part in parts if part.kind == kind)


@pytest.mark.parametrize(
    ("text", "is_open", "expected"),
    [
        ("<think>\nhm\n</think>\n\n42", False, ("hm", "42")),
        ("\n<think>hm</think>42", False, ("hm", "42")),
        ("hm\n</think>\n\n42", True, ("hm", "42")),
        ("<think>\n\n</think>\n\n42", False, ("", "42")),
        ("<think>never closed\n", False, ("never closed", "")),
        ("never closed", True, ("never closed", "")),
        ("42", False, ("", "42")),
        ("  42\n", False, ("", "  42\n")),
        ("a <think>b</think>", False, ("", "a <think>b</think>")),
        ("<think>a</think>b</think>c", False, ("a", "b</think>c")),
        ("<thi", False, ("", "<thi")),
        ("<think>a</thi", False, ("a</thi", "")),
        ("<think>a\n\nb\n</think>\nc\n", False, ("a\n\nb", "c\n")),
        ("", False, ("", "")),
        ("\n", False, ("", "\n")),
    ],
)
def test_what_is_reasoning(text: str, is_open: bool, expected: tuple[str, str]) -> None:
    assert split([text], is_open=is_open) == expected
    assert split(list(text), is_open=is_open) == expected


@given(
    text=st.lists(
        st.sampled_from(["<think>", "</think>", "<", "think", "a", "\n", "/"]), max_size=12
    ).map("".join),
    cuts=st.lists(st.integers(0, 60)),
    is_open=st.booleans(),
)
def test_the_cuts_make_no_difference(text: str, cuts: list[int], is_open: bool) -> None:
    borders = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[a:b] for a, b in pairwise(borders)]
    assert split(pieces, is_open=is_open) == split([text], is_open=is_open)


def test_a_piece_of_the_answer_is_passed_on_at_once() -> None:
    splitter = ReasoningSplitter(TAGS)
    splitter.feed("<think>a</think>")
    assert splitter.feed("b <") == [Part("answer", "b <")]


def test_reasoning_is_passed_on_while_it_comes() -> None:
    splitter = ReasoningSplitter(TAGS, is_open=True)
    assert splitter.feed("one two</") == [Part("reasoning", "one two")]


def test_without_tags_all_is_answer() -> None:
    assert split(["<think>a</think>b"], None) == ("", "<think>a</think>b")


@pytest.mark.parametrize(
    ("template", "opening"),
    [
        ("{{ '<think>' }}", "<think>"),
        ("{{ m.content.split('</think>')[-1] }}", "<think>"),
        ("[THINK]", "[THINK]"),
        ("<|im_start|>", None),
    ],
)
def test_the_template_says_which_tags(template: str, opening: str | None) -> None:
    tags = reasoning_tags(template)
    assert (tags.opening if tags else None) == opening
