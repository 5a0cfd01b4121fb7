"""The pieces of an answer as the events of ``/v1/responses``, and the output items that they fill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from llmlocal.server._answers import Piece
from llmlocal.server._http._events import GAP, Form, sse
from llmlocal.server.openai._logprobs import token_logprobs
from llmlocal.server.openai._response_items import (
    call_item,
    new_id,
    reasoning_item,
    text_item,
    text_part,
)

if TYPE_CHECKING:
    from llmlocal import TokenLogprob

__all__ = ["ResponseEvents"]

_TYPES = {
    "answer": "response.output_text",
    "reasoning": "response.reasoning_text",
    "call": "response.function_call_arguments",
}
_IDS = {"answer": "msg", "reasoning": "rs", "call": "fc"}


@dataclass
class _Item:
    """The item that is being written."""

    kind: str
    index: int
    name: str = ""
    call_id: str = ""
    text: str = ""
    logprobs: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.item_id = new_id(_IDS[self.kind])
        self.delta = Form(_event(*self.delta_event(GAP, []), number=GAP))

    @property
    def where(self) -> dict[str, Any]:
        where: dict[str, Any] = {"item_id": self.item_id, "output_index": self.index}
        return where if self.kind == "call" else {**where, "content_index": 0}

    def delta_event(self, text: str, logprobs: list[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
        scored = {"logprobs": logprobs} if self.kind == "answer" else {}
        return f"{_TYPES[self.kind]}.delta", {**self.where, "delta": text, **scored}

    def done_event(self) -> tuple[str, dict[str, Any]]:
        if self.kind == "call":
            whole: dict[str, Any] = {"arguments": self.text, "name": self.name}
        else:
            scored = {"logprobs": self.logprobs} if self.kind == "answer" else {}
            whole = {"text": self.text, **scored}
        return f"{_TYPES[self.kind]}.done", {**self.where, **whole}

    def part(self) -> dict[str, Any]:
        if self.kind == "answer":
            return text_part(self.text, self.logprobs)
        return {"type": "reasoning_text", "text": self.text}

    def as_output(self, status: str) -> dict[str, Any]:
        if self.kind == "call":
            return call_item(self.name, self.text, self.call_id, status, self.item_id)
        if self.kind == "answer":
            return text_item(self.text, status, self.item_id, self.logprobs)
        return reasoning_item(self.text, status, self.item_id)


class ResponseEvents:
    """Takes pieces, returns the events that they are, and gathers the items.

    Attributes:
        items: The finished ones.
    """

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self._item: _Item | None = None
        self._numbers = count()

    def event(self, kind: str, fields: dict[str, Any]) -> bytes:
        """An event, with its number."""
        return _event(kind, fields, number=next(self._numbers))

    def take(self, piece: Piece) -> bytes:
        """The events of a piece."""
        if piece.kind == "call":
            return self._begin("call", piece.text, piece.call_id)
        kind = "call" if piece.kind == "arguments" else piece.kind
        begun = b"" if self._item and self._item.kind == kind else self._begin(kind)
        item = self._item
        assert item is not None
        item.text += piece.text
        if not piece.logprobs or kind != "answer":
            return begun + item.delta.filled(next(self._numbers), piece.text)
        scored = token_logprobs(piece.logprobs)
        item.logprobs += scored
        return begun + self.event(*item.delta_event(piece.text, scored))

    def _begin(self, kind: str, name: str = "", call_id: str = "") -> bytes:
        closed = self.close("completed")
        self._item = item = _Item(kind, len(self.items), name, call_id)
        added = {"output_index": item.index, "item": item.as_output("in_progress")}
        begun = closed + self.event("response.output_item.added", added)
        if kind == "call":
            return begun
        return begun + self.event(
            "response.content_part.added", {**item.where, "part": item.part()}
        )

    def close(self, status: str, rest: Sequence[TokenLogprob] = ()) -> bytes:
        """The events at the end of the item that is being written, if there is one.

        Args:
            status: What became of it.
            rest: Logprobs of its last tokens.
        """
        item = self._item
        if item is None:
            return b""
        self._item = None
        item.logprobs += token_logprobs(rest)
        events = self.event(*item.done_event())
        if item.kind != "call":
            events += self.event("response.content_part.done", {**item.where, "part": item.part()})
        self.items.append(item.as_output(status))
        finished = {"output_index": item.index, "item": self.items[-1]}
        return events + self.event("response.output_item.done", finished)


def _event(kind: str, fields: dict[str, Any], number: int | str) -> bytes:
    return sse({"type": kind, "sequence_number": number, **fields}, kind)
