"""The pieces of an answer as the events of ``/v1/responses``, and the output items that they fill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmlocal.server._answers import Piece
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

__all__ = ["ResponseItems"]


@dataclass
class _Open:
    """The item that is being written."""

    kind: str
    item_id: str
    text: str = ""
    name: str = ""
    call_id: str = ""
    logprobs: list[dict[str, Any]] = field(default_factory=list)

    def item(self, status: str) -> dict[str, Any]:
        if self.kind == "call":
            return call_item(self.name, self.text, self.call_id, status, self.item_id)
        if self.kind == "answer":
            return text_item(self.text, status, self.item_id, self.logprobs)
        return reasoning_item(self.text, status, self.item_id)


@dataclass
class ResponseItems:
    """Takes pieces, yields events as ``(type, fields)``, and gathers the items.

    Attributes:
        items: The finished ones.
    """

    items: list[dict[str, Any]] = field(default_factory=list)
    _open: _Open | None = None

    def take(self, piece: Piece) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events of a piece."""
        if piece.kind == "call":
            yield from self.close("completed")
            item = _Open("call", new_id("fc"), name=piece.text, call_id=piece.call_id)
            yield from self._begin(item)
            return
        kind = "call" if piece.kind == "arguments" else piece.kind
        if self._open is None or self._open.kind != kind:
            yield from self.close("completed")
            yield from self._begin(_Open(kind, new_id("msg" if kind == "answer" else "rs")))
        assert self._open is not None
        self._open.text += piece.text
        extra = {}
        if kind == "answer":
            extra["logprobs"] = token_logprobs(piece.logprobs)
            self._open.logprobs += extra["logprobs"]
        yield f"{_TYPES[kind]}.delta", {**self._where(), "delta": piece.text, **extra}

    def _begin(self, item: _Open) -> Iterator[tuple[str, dict[str, Any]]]:
        self._open = item
        added = {"output_index": len(self.items), "item": item.item("in_progress")}
        yield "response.output_item.added", added
        if item.kind != "call":
            part = self._part("", [])
            yield "response.content_part.added", {**self._where(), "part": part}

    def close(
        self, status: str, rest: Sequence[TokenLogprob] = ()
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events at the end of the item that is being written, if there is one.

        Args:
            status: What became of it.
            rest: Logprobs of its last tokens.
        """
        item = self._open
        if item is None:
            return
        item.logprobs += token_logprobs(rest)
        where = self._where()
        if item.kind == "call":
            done: dict[str, Any] = {"arguments": item.text, "name": item.name}
        else:
            extra = {"logprobs": item.logprobs} if item.kind == "answer" else {}
            done = {"text": item.text} | extra
        yield f"{_TYPES[item.kind]}.done", {**where, **done}
        if item.kind != "call":
            yield (
                "response.content_part.done",
                {**where, "part": self._part(item.text, item.logprobs)},
            )
        finished = item.item(status)
        yield "response.output_item.done", {"output_index": len(self.items), "item": finished}
        self.items.append(finished)
        self._open = None

    def _where(self) -> dict[str, Any]:
        assert self._open is not None
        where: dict[str, Any] = {"item_id": self._open.item_id, "output_index": len(self.items)}
        return where if self._open.kind == "call" else {**where, "content_index": 0}

    def _part(self, text: str, logprobs: list[dict[str, Any]]) -> dict[str, Any]:
        assert self._open is not None
        if self._open.kind == "answer":
            return text_part(text, logprobs)
        return {"type": "reasoning_text", "text": text}


_TYPES = {
    "answer": "response.output_text",
    "reasoning": "response.reasoning_text",
    "call": "response.function_call_arguments",
}
