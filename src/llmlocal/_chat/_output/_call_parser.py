"""Finds calls of tools in generated text, while it arrives.

The parser is straight-line code that waits where it needs more text (see :mod:`._incoming`).  What
may be the beginning of a marker is held back until it is known to be none.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, cast

from llmlocal._chat._output._call import ToolCall, new_id
from llmlocal._chat._output._format import Slot, ToolFormat
from llmlocal._chat._output._incoming import Incoming, Steps
from llmlocal._chat._output._read_arguments import ArgumentReader, IsText
from llmlocal._templates import Part

__all__ = ["CallParser", "CallPart", "IsText"]


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
        self._kind = kind
        self._parts: list[Part] = []
        # What was taken since the marker is text, should it be no call.
        self._incoming = Incoming()
        self._reader = ArgumentReader(self._incoming, is_text, self._emit)
        self._has_text = False
        self._id = self._name = ""
        self._arguments: list[str] = []
        self._n_begun = 0
        self._steps = self._run()

    def feed(self, text: str) -> list[Part]:
        """What is certain now that ``text`` has come."""
        self._incoming.held += text
        return self._advance()

    def flush(self) -> list[Part]:
        """The rest, now that nothing more comes."""
        self._incoming.is_end = True
        return self._advance()

    def _advance(self) -> list[Part]:
        next(self._steps, None)
        parts, self._parts = self._parts, []
        return parts

    # --- The answer ------------------------------------------------------------------------------

    def _run(self) -> Generator[None, None, None]:
        while True:
            while (found := self._find_marker()) is None:
                if self._incoming.is_end:
                    self._text(self._incoming.held)
                    return
                yield
            self._incoming.taken = ""
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
            self._text(self._incoming.held[:at].rstrip())
            self._incoming.held = self._incoming.held[at:]
            return form
        begun = [
            at for form in self._formats if (at := self._place(form, is_complete=False)) is not None
        ]
        safe = min(begun, default=len(self._incoming.held))
        safe = len(self._incoming.held[:safe].rstrip())  # white space before a call is not text
        self._text(self._incoming.held[:safe])
        self._incoming.held = self._incoming.held[safe:]
        return None

    def _place(self, form: ToolFormat, *, is_complete: bool) -> int | None:
        """Where a format's marker stands, or where one may have begun."""
        marker = form.marker
        if not form.is_anywhere:
            text = self._incoming.held.lstrip()
            found = text.startswith(marker) if is_complete else marker.startswith(text)
            return len(self._incoming.held) - len(text) if found and not self._has_text else None
        if is_complete:
            at = self._incoming.held.find(marker)
            return at if at >= 0 else None
        most = min(len(self._incoming.held), len(marker) - 1)
        length = next(
            (n for n in range(most, 0, -1) if self._incoming.held.endswith(marker[:n])), 0
        )
        return len(self._incoming.held) - length if length else None

    def _text(self, text: str) -> None:
        if self.calls and not self._has_text_after:
            text = text.lstrip()
        if text:
            self._has_text = self._has_text_after = True
            self._parts.append(Part(cast("Any", self._kind), text))

    _has_text_after = False

    # --- Calls -----------------------------------------------------------------------------------

    def _calls(self, form: ToolFormat) -> Steps:
        is_call = yield from self._incoming.literal(form.opening)
        while is_call:
            is_call = yield from self._call(form)
            if not is_call:
                break
            self._incoming.taken = ""
            self._has_text_after = False
            if not (yield from self._goes_on(form)):
                return True
        begun = self._n_begun > len(self.calls)
        if begun:  # its name was passed on; it never ended, and is none
            self._n_begun = len(self.calls)
            self._incoming.held = "" if self._incoming.is_end else self._incoming.held
        elif not (self._incoming.is_end and not self._incoming.held):
            self._text(self._incoming.taken)
        # What ended before it could be told from a call was to be one: no text begins with a marker.
        self._incoming.taken = ""
        return False

    def _call(self, form: ToolFormat) -> Steps:
        name, self._id, self._arguments = "", "", []
        for i, piece in enumerate(form.call):
            if isinstance(piece, str):
                is_there = yield from self._incoming.literal(piece)
                if not is_there and not (
                    self._arguments and self._incoming.is_end and not self._incoming.held
                ):
                    return False
            elif piece is Slot.ARGUMENTS:
                self._name = name
                if not (yield from self._reader.read(form, name, _followers(form, i))):
                    return False
            else:
                text = yield from self._incoming.until(_followers(form, i))
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
        number = yield from self._incoming.which(coming)
        if number is None:
            held = self._incoming.held.lstrip()
            if self._incoming.is_end and form.closing.strip().startswith(held):
                self._incoming.held = ""  # it was cut there
            return False
        yield from self._incoming.literal((form.between or "") if number == 0 else form.closing)
        self._incoming.taken = ""
        return number == 0


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
