"""Finds calls of tools in generated text, while it arrives.

The parser is straight-line code over the text so far, written as generators that wait where they
need more: how the text is cut into pieces makes no difference, and what may be the beginning of a
marker is held back until it is known to be none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Sequence
from typing import Any, cast

from llmlocal._chat._output._call import ToolCall, new_id
from llmlocal._chat._output._format import Slot, ToolFormat
from llmlocal._chat._output._values import parse_dialect, parse_value
from llmlocal._templates import Part

__all__ = ["CallParser", "CallPart", "IsText"]

IsText = Callable[[str, str], bool]
"""Whether an argument, by the names of its tool and its own, is always a string."""

_MAX_NAME = 200  # characters
_JSON_MARK = re.compile(r'["\\{}\[\]]')
_LITERAL_MARK = re.compile(r"""["'\\{}\[\](),]""")

Steps = Generator[None, None, bool]


class CallPart(Part):
    """A piece of a call: first the name (kind "call"), then pieces of its arguments ("arguments").

    Attributes:
        id: The call that it belongs to.
        number: Which call of the answer that is, from 0.
    """

    id: str
    number: int

    @classmethod
    def of(cls, kind: str, text: str, id: str, number: int) -> CallPart:
        part = cls(cast("Any", kind), text)
        part.id, part.number = id, number
        return part


class CallParser:
    """Takes text as it comes; says what of it is text, and what calls.

    Args:
        formats: How calls may be written.
        is_text: What is known of the tools' arguments.
        kind: What to call text that is no call.

    Attributes:
        calls: Those that are complete.
    """

    def __init__(
        self, formats: Sequence[ToolFormat], is_text: IsText, *, kind: str = "answer"
    ) -> None:
        self.calls: list[ToolCall] = []
        self._formats = formats
        self._is_text = is_text
        self._kind = kind
        self._parts: list[Part] = []
        self._held = ""
        self._taken = ""  # since the marker, in case that it is no call
        self._is_end = False
        self._has_text = False
        self._id = self._name = ""
        self._arguments: list[str] = []
        self._n_begun = 0
        self._steps = self._run()

    def feed(self, text: str) -> list[Part]:
        """What is certain now that ``text`` has come."""
        self._held += text
        return self._advance()

    def flush(self) -> list[Part]:
        """The rest, now that nothing more comes."""
        self._is_end = True
        return self._advance()

    def _advance(self) -> list[Part]:
        next(self._steps, None)
        parts, self._parts = self._parts, []
        return parts

    # --- The answer ------------------------------------------------------------------------------

    def _run(self) -> Generator[None, None, None]:
        while True:
            while (found := self._find_marker()) is None:
                if self._is_end:
                    self._text(self._held)
                    return
                yield
            self._taken = ""
            yield from self._calls(found)

    def _find_marker(self) -> ToolFormat | None:
        """Pass on what is text; the format whose marker the rest begins with, if one does."""
        spots = [
            (at, -len(form.marker), form)
            for form in self._formats
            if (at := self._place(form, is_complete=True)) is not None
        ]
        if spots:
            at, _, form = min(spots, key=lambda spot: spot[:2])
            self._text(self._held[:at].rstrip())
            self._held = self._held[at:]
            return form
        begun = [
            at for form in self._formats if (at := self._place(form, is_complete=False)) is not None
        ]
        safe = min(begun, default=len(self._held))
        safe = len(self._held[:safe].rstrip())  # white space before a call is not text
        self._text(self._held[:safe])
        self._held = self._held[safe:]
        return None

    def _place(self, form: ToolFormat, *, is_complete: bool) -> int | None:
        """Where a format's marker stands, or where one may have begun."""
        marker = form.marker
        if not form.is_anywhere:
            text = self._held.lstrip()
            found = text.startswith(marker) if is_complete else marker.startswith(text)
            return len(self._held) - len(text) if found and not self._has_text else None
        if is_complete:
            at = self._held.find(marker)
            return at if at >= 0 else None
        most = min(len(self._held), len(marker) - 1)
        length = next((n for n in range(most, 0, -1) if self._held.endswith(marker[:n])), 0)
        return len(self._held) - length if length else None

    def _text(self, text: str) -> None:
        if self.calls and not self._has_text_after:
            text = text.lstrip()
        if text:
            self._has_text = self._has_text_after = True
            self._parts.append(Part(cast("Any", self._kind), text))

    _has_text_after = False

    # --- Calls -----------------------------------------------------------------------------------

    def _calls(self, form: ToolFormat) -> Steps:
        is_call = yield from self._literal(form.opening)
        while is_call:
            is_call = yield from self._call(form)
            if not is_call:
                break
            self._taken = ""
            self._has_text_after = False
            if not (yield from self._goes_on(form)):
                return True
        begun = self._n_begun > len(self.calls)
        if begun:  # its name was passed on; it never ended, and is none
            self._n_begun = len(self.calls)
            self._held = "" if self._is_end else self._held
        else:
            self._text(self._taken)
        self._taken = ""
        return False

    def _call(self, form: ToolFormat) -> Steps:
        name, self._id, self._arguments = "", "", []
        for i, piece in enumerate(form.call):
            if isinstance(piece, str):
                is_there = yield from self._literal(piece)
                if not is_there and not (self._arguments and self._is_end and not self._held):
                    return False
            elif piece is Slot.ARGUMENTS:
                self._name = name
                if not (yield from self._read_arguments(form, name, i)):
                    return False
            else:
                text = yield from self._until(_followers(form, i))
                if text is None:
                    return False
                name = text if piece is Slot.NAME else name
                self._id = self._id or (text if piece is Slot.ID else "")
        self.calls.append(ToolCall(self._id, name, "".join(self._arguments)))
        return True

    def _emit(self, text: str) -> None:
        """Pass on a piece of arguments; with the first one it is certain that this is a call."""
        if text and not self._arguments:
            self._id = self._id or new_id()
            self._parts.append(CallPart.of("call", self._name, self._id, self._n_begun))
            self._n_begun += 1
        if text:
            self._arguments.append(text)
            self._parts.append(CallPart.of("arguments", text, self._id, self._n_begun - 1))

    def _goes_on(self, form: ToolFormat) -> Steps:
        """Whether another call follows; takes what stands between them, or after the last."""
        first = form.call[0]
        after = (form.between or "") + (first if isinstance(first, str) else "")
        coming = [after.strip() if form.between is not None else "", form.closing.strip()]
        number = yield from self._which(coming)
        if number is None:
            return False
        yield from self._literal((form.between or "") if number == 0 else form.closing)
        self._taken = ""
        return number == 0

    # --- Arguments -------------------------------------------------------------------------------

    def _read_arguments(self, form: ToolFormat, name: str, place: int) -> Steps:
        if form.dialect is not None:
            return (yield from self._read_dialect(_followers(form, place)))
        if form.parameters is None:
            return (yield from self._read_json())
        return (yield from self._read_parameters(form, name, _followers(form, place)))

    def _read_json(self) -> Steps:
        """A JSON object, passed on as it comes."""
        yield from self._skip_space()
        if not self._held.startswith("{"):
            return False
        depth, is_text, at = 0, False, 0
        while True:
            mark = _JSON_MARK.search(self._held, at)
            if mark is None or (mark[0] == "\\" and mark.end() == len(self._held)):
                stop = mark.start() if mark else len(self._held)
                self._emit(self._take(stop))
                at = 0
                if self._is_end:
                    return False
                yield
                continue
            at = mark.end()
            if mark[0] == "\\":
                at += 1
            elif mark[0] == '"':
                is_text = not is_text
            elif not is_text:
                depth += 1 if mark[0] in "{[" else -1
                if depth == 0:
                    self._emit(self._take(at))
                    return _is_object("".join(self._arguments))

    def _read_dialect(self, followers: Sequence[str]) -> Steps:
        text = yield from self._until(followers, most=None)
        value = parse_dialect(text) if text is not None else None
        if not isinstance(value, dict):
            return False
        self._emit(json.dumps(value, ensure_ascii=False))
        return True

    def _read_parameters(self, form: ToolFormat, tool: str, followers: Sequence[str]) -> Steps:
        """Arguments between tags, passed on as JSON."""
        parameters = form.parameters
        assert parameters is not None
        end = next((text for text in followers if text), "")
        self._emit("{")
        count = 0
        while True:
            opening = (parameters.between if count else "") + parameters.opening
            number = yield from self._which([end, opening.strip()])
            if number == 0 or (number is None and not end):
                break
            if number is None and opening.strip():
                return False
            yield from self._literal(opening)
            kinds = {kind: middle.strip() for kind, middle in parameters.middle.items()}
            distinct = sorted(set(kinds.values()), key=len, reverse=True)
            shared = _shared(distinct)
            name = yield from self._until([shared])
            if name is None:
                return False
            which = yield from self._which(distinct)
            if which is None:
                return False
            kind = next(kind for kind, middle in kinds.items() if middle == distinct[which])
            yield from self._literal(parameters.middle[kind])
            self._emit(f"{', ' if count else ''}{json.dumps(name, ensure_ascii=False)}: ")
            is_string = kinds["string"] == distinct[which] and (
                len(distinct) > 1 or self._is_text(tool, name)
            )
            if not parameters.is_raw:
                is_read = yield from self._read_literal()
            elif is_string:
                is_read = yield from self._read_text(parameters.closing)
            else:
                is_read = yield from self._read_other(parameters.closing)
            if not is_read:
                return False
            yield from self._literal(parameters.closing)
            count += 1
        self._emit("}")
        return True

    def _read_text(self, closing: str) -> Steps:
        """A string as it is, passed on as a JSON string."""
        mark = closing.strip()
        pad = closing[: len(closing) - len(closing.lstrip())]
        self._emit('"')
        while (at := self._held.find(mark)) < 0:
            keep = next(
                (n for n in range(len(mark) - 1, 0, -1) if self._held.endswith(mark[:n])), 0
            )
            self._emit(_escaped(self._take(max(0, len(self._held) - keep - len(pad)))))
            if self._is_end:
                return False
            yield
        self._emit(_escaped(self._take(at).removesuffix(pad)))
        self._emit('"')
        return True

    def _read_other(self, closing: str) -> Steps:
        """A value that is JSON, or what Python shows; else it is a string."""
        text = yield from self._until([closing.strip()], most=None)
        if text is None:
            return False
        self._emit(json.dumps(parse_value(text), ensure_ascii=False))
        return True

    def _read_literal(self) -> Steps:
        """A value in the syntax of Python or JSON, which ends where a comma or bracket follows."""
        depth, quote, at = 0, "", 0
        while True:
            mark = _LITERAL_MARK.search(self._held, at)
            if mark is None or mark.end() == len(self._held):
                if self._is_end and mark is None:
                    return False
                if mark is None or mark[0] == "\\":
                    yield
                    continue
            char, at = mark[0], mark.end()
            if char == "\\":
                at += 1
            elif quote:
                quote = "" if char == quote else quote
            elif char in "\"'":
                quote = char
            elif char in "{[(":
                depth += 1
            elif depth == 0:
                break
            elif char in "}])":
                depth -= 1
        self._emit(json.dumps(parse_value(self._take(mark.start())), ensure_ascii=False))
        return True

    # --- Text ------------------------------------------------------------------------------------

    def _take(self, count: int) -> str:
        text, self._held = self._held[:count], self._held[count:]
        self._taken += text
        return text

    def _skip_space(self) -> Steps:
        while not self._held.strip() and not self._is_end:
            yield
        self._take(len(self._held) - len(self._held.lstrip()))
        return True

    def _literal(self, text: str) -> Steps:
        """Take fixed text; white space in it may be more or less than is written."""
        at = 0
        while at < len(text):
            if not self._held:
                if self._is_end:
                    return not text[at:].strip()
                yield
                continue
            char = self._held[0]
            if char == text[at]:
                at += 1
                self._take(1)
            elif text[at].isspace():
                at += 1
            elif char.isspace():
                self._take(1)
            else:
                return False
        return True

    def _until(
        self, stops: Sequence[str], most: int | None = _MAX_NAME
    ) -> Generator[None, None, str | None]:
        """Take what stands before the first of these; None where none of them comes."""
        while True:
            found = [at for stop in stops if stop and (at := self._held.find(stop)) >= 0]
            if found:
                return self._take(min(found)).strip()
            if self._is_end or (most is not None and len(self._held) > most):
                return None
            yield

    def _which(self, texts: Sequence[str]) -> Generator[None, None, int | None]:
        """Which of these comes next, after white space; an empty one never does."""
        while True:
            held = self._held.lstrip()
            for i, text in enumerate(texts):
                if text and held.startswith(text):
                    return i
            may_come = any(text and text.startswith(held) for text in texts)
            if self._is_end or not may_come:
                return None
            yield


def _followers(form: ToolFormat, place: int) -> list[str]:
    """What may stand after the piece of a call at ``place``; text without white space around it."""
    found: list[str] = []
    for piece in form.call[place + 1 :]:
        if isinstance(piece, str):
            found.append(piece.strip() or piece)
            if piece.strip():
                return found
        elif piece is Slot.ARGUMENTS:
            opening = "{" if form.parameters is None else form.parameters.opening.strip()
            found.append(opening)
        else:
            return found
    return [*found, form.closing.strip()]


def _shared(texts: Sequence[str]) -> str:
    shortest = min(texts, key=len)
    return next(
        (shortest[:i] for i in range(len(shortest)) if any(t[i] != shortest[i] for t in texts)),
        shortest,
    )


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
