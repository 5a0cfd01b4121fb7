"""Reads off a template how its model writes calls of tools.

The template renders short conversations in which the assistant calls tools whose names and
arguments are known words; what stands around these words, and is the same for each call, is the
format.  Where the result doesn't explain what the template wrote, there is no format.
"""

from __future__ import annotations

import json
import re
from ast import literal_eval
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llmlocal._chat._output._format import Parameters, Slot, ToolFormat

__all__ = ["read_format"]

Render = Callable[[list[dict[str, Any]]], str]
"""The prompt for messages, with the assistant's turn opened if the last is the user's; empty where
the template fails."""

_QUESTION = {"role": "user", "content": "q"}
_ANSWER = "needle-in-a-haystack"
_NAMES = ("needle_one", "needle_two")
_IDS = ("ndlid0001", "ndlid0002")
_KEYS = ("key_a", "key_b")
_VALUES = ("Value-A", "Value-B")
_TWO = dict(zip(_KEYS, _VALUES, strict=True))
_OF_EACH_TYPE: dict[str, Any] = {
    "string": "Value-A",
    "number": 90817,
    "boolean": True,
    "null": None,
    "array": [90818],
    "object": {"k": 90819},
}
_UNFINISHED_TAG = re.compile(r"<[^<>\s]*$")
_CUT_TAG = re.compile(r"^[^<>\s]*>")
_UNFINISHED_WORD = re.compile(r"\s\w+=$")
_WHOLE_TAG = re.compile(r"<[^<>\s]+>")


def read_format(render: Render) -> ToolFormat | None:
    """The format, or None where the template doesn't show calls, or not in a way that is understood."""
    header, end = _around_answer(render)
    one = _calls_text(render, [_TWO], header, end)
    if one is None:
        return None
    two = _calls_text(render, [_TWO, _TWO], header, end)
    reader = _JsonReader if _json_span(one) else _TagReader
    try:
        found = reader(render, header, end).read(one, two if two and _NAMES[1] in two else None)
    except _NotUnderstoodError:
        return None
    return found if found.head.strip() else None


class _NotUnderstoodError(Exception):
    """The calls are written in a way that no description fits."""


def _around_answer(render: Render) -> tuple[str, str]:
    """What stands before an answer, and after it."""
    before, shown, after = render([_QUESTION, _answer()]).partition(_ANSWER)
    return (before, after) if shown else (render([_QUESTION]), "")


def _answer() -> dict[str, Any]:
    return {"role": "assistant", "content": _ANSWER}


def _calls_text(
    render: Render, arguments: Sequence[Mapping[str, Any]], header: str, end: str
) -> str | None:
    """What stands in the assistant's turn when it has made these calls; None if it can't be shown."""
    calls = [
        {"id": id_, "type": "function", "function": {"name": name, "arguments": dict(given)}}
        for id_, name, given in zip(_IDS, _NAMES, arguments, strict=False)
    ]
    output = render([_QUESTION, {"role": "assistant", "content": "", "tool_calls": calls}])
    if _NAMES[0] not in output:
        return None
    opened = render([_QUESTION])
    shared = _common(header, output)
    if len(shared) < len(header):  # " to=" of " to=user" belongs to what is different
        shared = _UNFINISHED_WORD.sub("", shared)
    start = max(len(shared), len(opened) if output.startswith(opened) else 0)
    text = output[start:]
    last = max(text.rfind(word) for word in (*_NAMES, *_IDS, *_KEYS, *_VALUES))
    stop = text.find(end.strip(), last) if end.strip() else -1
    if stop < 0 and _WHOLE_TAG.search(tail := _common_end(end, text[last:])):
        stop = len(text) - len(tail)
    return text if stop < 0 else text[:stop]


def _common(a: str, b: str) -> str:
    """What both begin with, without the beginning of a tag that they don't share."""
    shortest = min(len(a), len(b))
    length = next((i for i in range(shortest) if a[i] != b[i]), shortest)
    return a[:length] if length == len(a) == len(b) else _UNFINISHED_TAG.sub("", a[:length])


def _common_end(a: str, b: str) -> str:
    """What both end with, without the end of a tag that they don't share."""
    shortest = min(len(a), len(b))
    length = next((i for i in range(shortest) if a[-1 - i] != b[-1 - i]), shortest)
    tail = a[len(a) - length :]
    is_cut = _UNFINISHED_TAG.search(a[: len(a) - length]) is not None
    return _CUT_TAG.sub("", tail) if is_cut else tail


def _json_span(text: str, start: int = 0) -> tuple[int, int] | None:
    """Where the arguments stand as a JSON object."""
    key = text.find(_KEYS[0], start)
    begin = text.rfind("{", 0, key)
    if key < 0 or begin < 0:
        return None
    try:
        value, end = json.JSONDecoder().raw_decode(text, begin)
    except ValueError:
        return None
    return (begin, end) if value == _TWO else None


class _Reader:
    """What the two ways to write arguments have in common."""

    def __init__(self, render: Render, header: str, end: str) -> None:
        self._render = render
        self._header = header
        self._end = end

    def calls(self, *arguments: Mapping[str, Any]) -> str:
        text = _calls_text(self._render, arguments, self._header, self._end)
        if text is None:
            raise _NotUnderstoodError
        return text


class _JsonReader(_Reader):
    """Arguments that are one JSON object."""

    def read(self, one: str, two: str | None) -> ToolFormat:
        first = _pieces(one, 0)
        if two is None:
            # The turn is all that is known to stand around a call.
            return ToolFormat("", _call(first.head, first.inner, first.tail), None, "")
        a = _pieces(two, 0)
        b = _pieces(two, 1)
        middle = two[a.end : b.start]
        closing = _common(middle, first.tail)
        rest = middle[len(closing) :]
        opening = _common_end(rest, a.head)
        inner, first_index = a.inner, 0
        numbered = _numbered(a.head[: len(a.head) - len(opening)], rest[: len(rest) - len(opening)])
        if numbered is not None:
            inner = [Slot.INDEX, opening, *inner]
            first_index, before, between = numbered
            opening = _common_end(before, between)
            outer, between = before[: len(before) - len(opening)], between[: -len(opening) or None]
        else:
            outer, between = a.head[: len(a.head) - len(opening)], rest[: len(rest) - len(opening)]
            inner, first_index = _indexed(a.inner, b.inner)
        call = _call(opening, inner, closing)
        found = ToolFormat(
            outer, call, between, first.tail[len(closing) :], first_index=first_index
        )
        if _rendered(found, 2) != _compact(two):
            raise _NotUnderstoodError
        return found


def _compact(text: str) -> str:
    """The same, with the arguments as ``json.dumps`` writes them."""
    found, at = "", 0
    while (span := _json_span(text, at)) is not None:
        found += text[at : span[0]] + json.dumps(_TWO)
        at = span[1]
    return found + text[at:]


class _Pieces:
    """One call's own text: what differs, and what stands between."""

    def __init__(self, start: int, end: int, inner: list[str | Slot], head: str, tail: str) -> None:
        self.start = start
        self.end = end
        self.inner = inner
        self.head = head
        self.tail = tail


def _pieces(text: str, number: int) -> _Pieces:
    """The slots of a call, in their order, and the fixed text between them."""
    name = text.find(_NAMES[number])
    begin = 0 if number == 0 else text.find(_NAMES[number]) - 200
    span = _json_span(text, max(name, 0)) or _json_span(text, max(begin, 0))
    if name < 0 or span is None or text.count(_NAMES[number]) != 1:
        raise _NotUnderstoodError
    spans = [(name, name + len(_NAMES[number]), Slot.NAME), (*span, Slot.ARGUMENTS)]
    id_ = text.find(_IDS[number])
    if id_ >= 0:
        spans.append((id_, id_ + len(_IDS[number]), Slot.ID))
    spans.sort(key=lambda each: each[0])
    inner: list[str | Slot] = []
    for i, (start, end, slot) in enumerate(spans):
        inner.append(slot)
        if i + 1 < len(spans):
            inner.append(text[end : spans[i + 1][0]])
            if start >= spans[i + 1][0]:
                raise _NotUnderstoodError
    start, end = spans[0][0], spans[-1][1]
    return _Pieces(start, end, inner, text[:start], text[end:])


def _call(opening: str, inner: Sequence[str | Slot], closing: str) -> tuple[str | Slot, ...]:
    return tuple(piece for piece in (opening, *inner, closing) if piece != "")


def _numbered(before: str, between: str) -> tuple[int, str, str] | None:
    """Whether both end with a number that counts the calls: the first, and what stands before them."""
    first, second = re.search(r"\d+$", before), re.search(r"\d+$", between)
    if first is None or second is None or int(second[0]) != int(first[0]) + 1:
        return None
    return int(first[0]), before[: first.start()], between[: second.start()]


def _indexed(
    first: Sequence[str | Slot], second: Sequence[str | Slot]
) -> tuple[list[str | Slot], int]:
    """The text between slots, with a number in it that counts the calls as a slot of its own."""
    inner: list[str | Slot] = []
    index = 0
    for a, b in zip(first, second, strict=True):
        if a == b or not isinstance(a, str) or not isinstance(b, str):
            inner.append(a)
            continue
        same = next((i for i in range(min(len(a), len(b))) if a[i] != b[i]), 0)
        number = re.match(r"\d+", a[same:])
        if number is None or b != f"{a[:same]}{int(number[0]) + 1}{a[same + number.end() :]}":
            raise _NotUnderstoodError
        index = int(number[0])
        inner += [a[:same], Slot.INDEX, a[same + number.end() :]]
    return [piece for piece in inner if piece != ""], index


def _rendered(found: ToolFormat, count: int, arguments: Mapping[str, Any] = _TWO) -> str:
    from llmlocal._chat._output._call import ToolCall

    text = json.dumps(arguments)
    names = zip(_IDS[:count], _NAMES[:count], strict=True)
    return found.write([ToolCall(id_, name, text) for id_, name in names])


class _TagReader(_Reader):
    """Arguments that stand between tags of their own."""

    def read(self, one: str, two: str | None) -> ToolFormat:
        to_key, shown, rest = one.rpartition(_NAMES[0])[2].partition(_KEYS[0])
        _, shown_value, _ = rest.partition(_VALUES[0])
        if not shown or not shown_value or two is None:
            raise _NotUnderstoodError
        between_values = _between(one, _VALUES[0], _KEYS[1])
        tail = one.partition(_VALUES[1])[2]
        closing = _common(between_values, tail)
        rest_between = between_values[len(closing) :]
        opening = _common_end(rest_between, to_key)
        separator = rest_between[: len(rest_between) - len(opening)]
        middle, quote, is_raw = self._middles()
        parameters = Parameters(
            opening, middle, closing.removeprefix(quote), separator, is_raw=is_raw
        )
        return self._outer(one, two, tail[len(closing) :], parameters)

    def _middles(self) -> tuple[dict[str, str], str, bool]:
        """What stands between name and value for each type; what strings are quoted with."""
        text = self.calls({_KEYS[0]: _VALUES[0]})
        string = _between(text, _KEYS[0], _VALUES[0])
        middles: dict[str, str] = {}
        for kind, value in _OF_EACH_TYPE.items():
            if kind != "string":
                after = self.calls({_KEYS[0]: value}).partition(_KEYS[0])[2]
                middles[kind] = _before_value(after, value)
        number = middles["number"]
        quote = string.removeprefix(number) if string.startswith(number) else ""
        if quote not in ("", "'", '"'):
            raise _NotUnderstoodError
        return {**middles, "string": string.removesuffix(quote)}, quote, not quote

    def _outer(self, one: str, two: str, tail: str, parameters: Parameters) -> ToolFormat:
        """What stands around the calls; ``tail`` stands after the arguments of the last."""
        head = one.partition(_NAMES[0])[0]
        last_value = two.find(_VALUES[1])
        rest = two[last_value + len(_VALUES[1]) : two.find(_NAMES[1])]
        quote_and_closing = one.partition(_VALUES[1])[2]
        rest = rest[len(quote_and_closing) - len(tail) :]
        closing = _common(rest, tail)
        rest = rest[len(closing) :]
        opening = _common_end(rest, head)
        names = [self._names(two, name, parameters) for name in _NAMES]
        inner, first_index = _indexed(*names)
        found = ToolFormat(
            head[: len(head) - len(opening)],
            _call(opening, [*inner, Slot.ARGUMENTS], closing),
            rest[: len(rest) - len(opening)],
            tail[len(closing) :],
            parameters,
            first_index=first_index,
        )
        if parameters.is_raw and _rendered(found, 2) != two:
            raise _NotUnderstoodError
        return found

    def _names(self, text: str, name: str, parameters: Parameters) -> list[str | Slot]:
        """A call from its name to its arguments; some templates write the name twice."""
        between = text[text.find(name) : text.find(_KEYS[0], text.find(name))]
        pieces: list[str | Slot] = []
        for fixed in between.removesuffix(parameters.opening).split(name)[1:]:
            pieces += [Slot.NAME, fixed]
        return pieces


def _between(text: str, first: str, second: str) -> str:
    return text.partition(first)[2].partition(second)[0]


def _before_value(text: str, value: Any) -> str:
    """What stands before a value that is written in JSON, or as Python shows it."""
    for start in reversed(range(min(len(text), 200))):  # before it a type may be named: "null"
        for length in (len(json.dumps(value)), len(repr(value))):
            try:
                if _read_value(text[start : start + length]) == value:
                    return text[:start]
            except ValueError:
                continue
    raise _NotUnderstoodError


def _read_value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return literal_eval(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as exc:
        raise ValueError from exc
