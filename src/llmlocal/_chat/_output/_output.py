"""What a model writes, told apart while it arrives: reasoning, answer, and calls of tools."""

from __future__ import annotations

from collections.abc import Sequence

from llmlocal._chat._output._call import ToolCall
from llmlocal._chat._output._call_parser import CallParser, IsText
from llmlocal._chat._output._format import ToolFormat
from llmlocal._templates import Part, ReasoningSplitter

__all__ = ["OutputParser"]


class OutputParser:
    """Takes generated text in pieces of any size; says what of it is what.

    A call that stands in reasoning is part of the reasoning, unless the reasoning never ends: then
    it is what the model wanted to do.

    Args:
        splitter: Tells reasoning from the answer.
        formats: How calls may be written; empty where none are looked for.
        is_text: What is known of the tools' arguments.
    """

    def __init__(
        self,
        splitter: ReasoningSplitter,
        formats: Sequence[ToolFormat] = (),
        is_text: IsText = lambda _tool, _name: False,
    ) -> None:
        self._splitter = splitter
        self._answer = CallParser(formats, is_text)
        self._thought = CallParser(
            [form for form in formats if form.is_anywhere], is_text, kind="reasoning"
        )
        self._has_calls = bool(formats)
        self._waiting: list[Part] = []  # from the first call in the reasoning on
        self._thought_text = ""  # the same as text
        self._is_thinking = True

    @property
    def calls(self) -> list[ToolCall]:
        """The calls that are complete."""
        return self._answer.calls or ([] if not self._is_over_in_thought else self._thought.calls)

    _is_over_in_thought = False

    def feed(self, text: str) -> list[Part]:
        """What is certain now that ``text`` has come."""
        return self._take(self._splitter.feed(text))

    def flush(self) -> list[Part]:
        """The rest, now that nothing more comes."""
        parts = self._take(self._splitter.flush())
        if not self._has_calls:
            return parts
        if self._is_thinking:
            self._waiting += self._thought.flush()
            self._is_over_in_thought = True
            parts += self._waiting
        return parts + self._answer.flush()

    def _take(self, parts: Sequence[Part]) -> list[Part]:
        if not self._has_calls:
            return list(parts)
        found: list[Part] = []
        for part in parts:
            if part.kind == "answer":
                found += self._end_of_thought()
                found += self._answer.feed(part.text)
            elif part.kind == "reasoning":
                found += self._think(part.text)
        return found

    def _think(self, text: str) -> list[Part]:
        self._thought_text += text
        parts = self._thought.feed(text)
        if not self._waiting and all(part.kind == "reasoning" for part in parts):
            passed = sum(len(part.text) for part in parts)
            self._thought_text = self._thought_text[passed:]
            return parts
        self._waiting += parts
        return []

    def _end_of_thought(self) -> list[Part]:
        """The reasoning is over: what looked like a call in it was none."""
        if not self._is_thinking:
            return []
        self._is_thinking = False
        text, self._thought_text, self._waiting = self._thought_text, "", []
        return [Part("reasoning", text)] if text else []
