"""Marked text is a ``str`` to everyone, and its marks follow the characters."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmlocal._templates._marked import MarkedText, marked, marks_of

CHARS = "ab <|>\n\t\x1cß"
texts = st.text(CHARS, max_size=12)


@st.composite
def marked_texts(draw: st.DrawFn) -> MarkedText:
    text = draw(texts)
    return MarkedText(
        text, bytes(draw(st.lists(st.integers(0, 1), min_size=len(text), max_size=len(text))))
    )


# The slow, obvious reference: every character is marked by being of another alphabet.  An operation
# that treats all characters of the text alike must commute with the change of alphabet.
PRIVATE = {char: chr(0xE000 + i) for i, char in enumerate(CHARS)}


def unmark(text: str) -> str:
    return "".join(char if char in CHARS else CHARS[ord(char) - 0xE000] for char in text)


Operation = Callable[[Any], Any]
OPERATIONS: dict[str, Operation] = {
    "add": lambda t: t + "x",
    "radd": lambda t: "x" + t,
    "add own": lambda t: t + t,
    "times": lambda t: t * 3,
    "rtimes": lambda t: 2 * t,
    "slice": lambda t: t[1:-1],
    "reverse": lambda t: t[::-1],
    "strip": lambda t: t.strip(),
    "lstrip": lambda t: t.lstrip("a<"),
    "rstrip": lambda t: t.rstrip("a<"),
    "removeprefix": lambda t: t.removeprefix("a"),
    "removesuffix": lambda t: t.removesuffix("b"),
    "join": lambda t: t.join(["x", t, "y"]),
    "lower": lambda t: t.lower(),
    "upper": lambda t: t.upper(),
    "title": lambda t: t.title(),
    "capitalize": lambda t: t.capitalize(),
    "replace": lambda t: t.replace("a", "xy"),
    "replace all": lambda t: t.replace("<|", ""),
    "replace once": lambda t: t.replace("a", "xy", 1),
    "replace nothing": lambda t: t.replace("", "-"),
}
# With the number of characters that lie between two pieces; None for some white space.
TAKING_APART: dict[str, tuple[Operation, int | None]] = {
    "split": (lambda t: t.split(), None),
    "split at": (lambda t: t.split("a"), 1),
    "split once": (lambda t: t.split("<|", 1), 2),
    "split some": (lambda t: t.split(None, 1), None),
    "rsplit": (lambda t: t.rsplit(None, 1), None),
    "rsplit at": (lambda t: t.rsplit("a", 1), 1),
    "splitlines": (lambda t: t.splitlines(), 1),
    "splitlines keep": (lambda t: t.splitlines(keepends=True), 0),
    "partition": (lambda t: t.partition("a"), 0),
    "rpartition": (lambda t: t.rpartition("a"), 0),
    "iterate": (list, 0),
}


@pytest.mark.parametrize("name", OPERATIONS)
@given(text=marked_texts())
def test_an_operation_gives_the_same_text(name: str, text: MarkedText) -> None:
    assert OPERATIONS[name](text) == OPERATIONS[name](str.__str__("".join(text)))


@pytest.mark.parametrize("name", TAKING_APART)
@given(text=marked_texts())
def test_taking_apart_gives_the_same_pieces(name: str, text: MarkedText) -> None:
    take_apart, _ = TAKING_APART[name]
    assert take_apart(text) == take_apart("".join(text))


@pytest.mark.parametrize("name", TAKING_APART)
@given(text=marked_texts())
def test_pieces_keep_their_marks(name: str, text: MarkedText) -> None:
    """Each piece has the marks of the place it was taken from."""
    take_apart, gap = TAKING_APART[name]
    start = 0
    for piece in take_apart(text):
        start = text.find(piece, start) if gap is None else start
        assert marks_of(piece) == text.marks[start : start + len(piece)]
        start += len(piece) + (gap or 0)


MOVING = ("add", "radd", "slice", "reverse", "times", "add own", "join")


@pytest.mark.parametrize("name", MOVING)
@given(text=marked_texts())
def test_marks_move_with_their_characters(name: str, text: MarkedText) -> None:
    moved = OPERATIONS[name](text)
    private = "".join(
        PRIVATE[char] if mark else char
        for char, mark in zip("".join(text), text.marks, strict=True)
    )
    reference = OPERATIONS[name](private)
    assert [char not in CHARS + "xy" for char in reference] == [bool(mark) for mark in moved.marks]


@given(text=marked_texts())
def test_replacing_leaves_the_marks_of_the_rest(text: MarkedText) -> None:
    replaced = text.replace("a", "xy")
    assert isinstance(replaced, MarkedText)
    expected = b"".join(
        b"\0\0" if char == "a" else bytes((mark,))
        for char, mark in zip("".join(text), text.marks, strict=True)
    )
    assert replaced.marks == expected


@given(parts=st.lists(st.one_of(texts, marked_texts())))
def test_concat_is_join(parts: list[str]) -> None:
    whole = MarkedText.concat(parts)
    assert whole == "".join(parts)
    assert marks_of(whole) == b"".join(map(marks_of, parts))


@given(text=marked_texts())
def test_segments_are_the_text_again(text: MarkedText) -> None:
    segments = text.segments()
    assert "".join(run for run, _ in segments) == text
    assert b"".join(bytes((not is_own,)) * len(run) for run, is_own in segments) == text.marks
    assert all(run for run, _ in segments)
    assert all(a[1] != b[1] for a, b in pairwise(segments))


def test_it_is_the_same_key() -> None:
    assert {"role": 1}[MarkedText.foreign("role")] == 1
    assert hash(MarkedText.foreign("role")) == hash("role")


def test_it_can_be_pickled() -> None:
    again = pickle.loads(pickle.dumps(MarkedText("ab", b"\0\1")))
    assert (again, again.marks) == ("ab", b"\0\1")


def test_marking_reaches_everything() -> None:
    value = marked({"a": ["b", {"c": ("d",)}], "n": 1})
    assert value == {"a": ["b", {"c": ("d",)}], "n": 1}
    (key, (inner, nested)), _ = value.items()
    assert all(isinstance(text, MarkedText) for text in (key, inner, *nested, *nested["c"]))


def test_letters_that_grow_lose_their_marks() -> None:
    """Then the sandbox counts all of it as the conversation's."""
    assert type(MarkedText.foreign("ß").upper()) is str
