"""Text that remembers, character by character, whether it came from the conversation.

A chat template mixes its own text with what people wrote.  Only the template's own characters may
become control tokens, so every string of the conversation enters the template as a
:class:`MarkedText`, and the operations that templates apply to strings carry the marks along.  An
operation that is not carried here gives a plain ``str``; whoever runs it (the sandbox) must then
treat the result as written by the conversation.  Not for use outside ``_templates``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, SupportsIndex

from ..errors import ParameterError

__all__ = ["MarkedText", "Segment", "marked", "marks_of", "own_text"]

Segment = tuple[str, bool]
"""A run of text, and whether the template wrote it (and not the conversation)."""

_OWN = b"\0"
_FOREIGN = b"\1"
_RUNS = re.compile(rb"\x00+|\x01+")


def marks_of(text: str) -> bytes:
    """One byte for each character: 1 where it came from the conversation, else 0."""
    return text.marks if isinstance(text, MarkedText) else _OWN * len(text)


def own_text(segments: Iterable[Segment]) -> str:
    """Text for a message's content, of which some runs count as the template's."""
    runs = list(segments)
    marks = b"".join((_OWN if is_own else _FOREIGN) * len(text) for text, is_own in runs)
    return MarkedText("".join(text for text, _ in runs), marks)


_MAX_DEPTH = 100


def marked(value: Any, depth: int = 0) -> Any:
    """``value`` with all plain strings in it, keys included, marked as foreign.

    Raises:
        ParameterError: It is nested too deep, or holds itself.
    """
    if depth > _MAX_DEPTH:
        raise ParameterError(f"a variable of the template is nested more than {_MAX_DEPTH} deep")
    depth += 1
    if isinstance(value, str):
        return value if isinstance(value, MarkedText) else MarkedText.foreign(value)
    if isinstance(value, Mapping):
        return {marked(key, depth): marked(item, depth) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(marked(each, depth) for each in value)
    return value


class MarkedText(str):
    """A string with one mark for each character.  Equal to, and hashed as, the same plain string."""

    __slots__ = ("marks",)
    marks: bytes

    def __new__(cls, text: str, marks: bytes) -> MarkedText:
        assert len(text) == len(marks)
        self = super().__new__(cls, text)
        self.marks = marks
        return self

    @classmethod
    def foreign(cls, text: str) -> MarkedText:
        """All of ``text`` came from the conversation."""
        return cls(text, _FOREIGN * len(text))

    @classmethod
    def own(cls, text: str) -> MarkedText:
        """All of ``text`` is the template's; what is marked in it stays marked."""
        return cls(text, marks_of(text))

    @classmethod
    def concat(cls, parts: Iterable[str]) -> str:
        """The parts one after another; a plain string when nothing in them is marked."""
        pieces = list(parts)
        text = "".join(pieces)
        if any(isinstance(piece, MarkedText) for piece in pieces):
            return cls(text, b"".join(map(marks_of, pieces)))
        return text

    def segments(self) -> tuple[Segment, ...]:
        """The text cut where the marks change."""
        return tuple(
            (str.__getitem__(self, slice(*run.span())), run.group()[:1] == _OWN)
            for run in _RUNS.finditer(self.marks)
        )

    # -- taking parts ------------------------------------------------------------------------

    def __str__(self) -> str:
        return self

    def __getitem__(self, key: SupportsIndex | slice) -> MarkedText:
        text = super().__getitem__(key)
        if isinstance(key, slice):
            return MarkedText(text, self.marks[key])
        return MarkedText(text, bytes((self.marks[key],)))

    def __iter__(self) -> Iterator[MarkedText]:
        return (self[i] for i in range(len(self)))

    def strip(self, chars: str | None = None, /) -> MarkedText:
        return self.rstrip(chars).lstrip(chars)

    def lstrip(self, chars: str | None = None, /) -> MarkedText:
        return self[len(self) - len(super().lstrip(chars)) :]

    def rstrip(self, chars: str | None = None, /) -> MarkedText:
        return self[: len(super().rstrip(chars))]

    def removeprefix(self, prefix: str, /) -> MarkedText:
        return self[len(self) - len(super().removeprefix(prefix)) :]

    def removesuffix(self, suffix: str, /) -> MarkedText:
        return self[: len(super().removesuffix(suffix))]

    def split(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:
        return self._locate(super().split(sep, maxsplit), len(sep or ""))

    def rsplit(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:
        return self._locate(super().rsplit(sep, maxsplit), len(sep or ""))

    def splitlines(self, keepends: bool = False) -> list[str]:
        lines = self._locate(super().splitlines(keepends=True), 0)
        if keepends:
            return lines
        return [line[: len(str.splitlines(line)[0])] for line in lines]

    def partition(self, sep: str, /) -> tuple[str, str, str]:
        return self._cut(super().partition(sep))

    def rpartition(self, sep: str, /) -> tuple[str, str, str]:
        return self._cut(super().rpartition(sep))

    def _cut(self, parts: tuple[str, str, str]) -> tuple[str, str, str]:
        before, middle, after = self._locate(list(parts), 0)
        return before, middle, after

    def _locate(self, pieces: list[str], gap: int) -> list[str]:
        """The pieces, which lie in this order in the text, with their marks.

        ``gap`` characters lie between two pieces; 0 means some white space or nothing.
        """
        found: list[str] = []
        start = 0
        for piece in pieces:
            if not gap:
                start = self.find(piece, start)
            found.append(self[start : start + len(piece)])
            start += len(piece) + gap
        return found

    # -- putting together --------------------------------------------------------------------

    def __add__(self, other: str, /) -> MarkedText:
        return MarkedText(super().__add__(other), self.marks + marks_of(other))

    def __radd__(self, other: str, /) -> MarkedText:
        return MarkedText(str.__add__(other, self), marks_of(other) + self.marks)

    def __mul__(self, times: SupportsIndex, /) -> MarkedText:
        return MarkedText(super().__mul__(times), self.marks * int(times))

    __rmul__ = __mul__

    def join(self, parts: Iterable[str], /) -> MarkedText:
        pieces: list[str] = []
        for part in parts:
            pieces += (self, part) if pieces else (part,)
        return MarkedText("".join(pieces), b"".join(map(marks_of, pieces)))

    def replace(self, old: str, new: str, count: SupportsIndex = -1, /) -> str:
        if not old:
            return super().replace(old, new, count)
        return MarkedText.own(new).join(self.split(old, count))

    # -- changing characters one for one -----------------------------------------------------

    def lower(self) -> str:
        return self._recased(super().lower())

    def upper(self) -> str:
        return self._recased(super().upper())

    def title(self) -> str:
        return self._recased(super().title())

    def capitalize(self) -> str:
        return self._recased(super().capitalize())

    def _recased(self, text: str) -> str:
        # A few letters grow ("ß".upper()); the marks can't be aligned then, so none are claimed.
        return MarkedText(text, self.marks) if len(text) == len(self) else text

    def __reduce__(self) -> tuple[Any, ...]:
        return MarkedText, (str.__str__(self), self.marks)
