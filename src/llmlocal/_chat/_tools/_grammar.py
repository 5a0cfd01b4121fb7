"""The grammar of an answer that may call tools: reasoning, text, and calls that their schemas allow.

One grammar covers the answer from its first token.  Text runs free up to the marker of a call; from
there on only what is a call can be written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llmlocal._chat._output._format import Slot, ToolFormat
from llmlocal._chat._tools._arguments import Arguments
from llmlocal._chat._tools._rules import SPACE, Controls, Rules, pattern_of
from llmlocal._chat._tools._tool import Tool
from llmlocal._templates import ReasoningTags

__all__ = ["Answer", "tool_grammar"]

_MOST_CALLS = 32  # in one answer
_JSON_PIECE = re.compile(r'"[^"]*"|[{}\[\]]|[^"{}\[\]]+')


@dataclass(frozen=True)
class Answer:
    """What an answer may be.

    Attributes:
        formats: How calls may be written; the first is the usual one.
        tools: What may be called.
        mode: "auto", "none" or "required".
        is_parallel: Whether there may be several calls.
        reasoning: The tags of reasoning, for a model that reasons.
        is_open: Whether the prompt has opened the reasoning.
        may_reason: Whether the answer may begin with reasoning.
        text: What an answer without calls is held to, as the right side of a rule; None for any text.
    """

    formats: tuple[ToolFormat, ...]
    tools: tuple[Tool, ...]
    mode: str
    is_parallel: bool = True
    reasoning: ReasoningTags | None = None
    is_open: bool = False
    may_reason: bool = True
    text: str | None = None


def tool_grammar(answer: Answer, controls: Controls, is_end: Callable[[int], bool]) -> str:
    """The grammar, for a vocabulary with these control tokens.

    Raises:
        ParameterError: A tool's schema can't be enforced in this format.
    """
    return _Grammar(answer, controls, is_end).text()


class _Grammar:
    def __init__(self, answer: Answer, controls: Controls, is_end: Callable[[int], bool]) -> None:
        self._answer = answer
        self._rules = Rules(controls, is_end)
        self._arguments = Arguments(self._rules)

    def text(self) -> str:
        answer = self._answer
        if answer.reasoning is None or not (answer.is_open or answer.may_reason):
            return self._rules.text(self._body())
        thought = self._thought(answer.reasoning)
        if answer.is_open:
            return self._rules.text(thought)
        opened = self._rules.literal(answer.reasoning.opening)
        return self._rules.text(f"({SPACE} {opened} {thought} | {self._body()})")

    # --- Text ------------------------------------------------------------------------------------

    def _body(self) -> str:
        """What follows the reasoning."""
        answer = self._answer
        if answer.mode == "required":
            calls = [self._calls(i, form) for i, form in enumerate(answer.formats)]
            return self._rules.rule("calls", " | ".join(calls))
        direct = answer.reasoning.direct if answer.reasoning else ""
        text = self._first_text() if answer.text is None else self._rules.rule("text", answer.text)
        plain = f"({self._rules.literal(direct)})? {text}" if direct else text
        if answer.mode == "none":
            return self._rules.rule("body", plain)
        ways = [plain]
        for i, form in enumerate(answer.formats):
            if answer.text is not None and not form.is_anywhere:
                ways.append(self._calls_beside_json(i, form))
                continue
            before = (
                self._rules.up_to(form.marker, self._markers())
                if form.is_anywhere and answer.text is None
                else self._rules.at_start(form.marker)
            )
            lead = f"({self._rules.literal(direct)})? " if direct and form.is_anywhere else ""
            ways.append(f"{lead}{before} {self._after_marker(i, form)}")
        return self._rules.rule("body", " | ".join(ways))

    def _thought(self, tags: ReasoningTags) -> str:
        """The reasoning, opened already, and what follows it."""
        marks = [tags.closing, *(self._markers() if self._answer.mode != "none" else [])]
        closed = f"{self._rules.up_to(tags.closing, marks)} {SPACE} {self._body()}"
        ways = [closed]
        if self._answer.mode != "required" and self._answer.text is None:
            ways.append(self._rules.free(marks))  # the model may be cut, or end, while it reasons
        if self._answer.mode != "none":
            # A call ends the reasoning: it would be lost there.
            ways += [
                f"{self._rules.up_to(form.marker, marks)} {self._after_marker(i, form)}"
                for i, form in enumerate(self._answer.formats)
                if form.is_anywhere
            ]
        return self._rules.rule("thought", " | ".join(ways))

    def _markers(self) -> list[str]:
        return [form.marker for form in self._answer.formats if form.is_anywhere]

    def _first_text(self) -> str:
        """Text at the beginning of an answer: also not what is a call there, and only there."""
        markers = [form.marker for form in self._answer.formats if not form.is_anywhere]
        besides = "".join(rf" & ~/\s*{pattern_of(marker)}(?s:.*)/" for marker in markers)
        return self._rules.free(self._markers(), besides=besides)

    # --- Calls -----------------------------------------------------------------------------------

    def _after_marker(self, number: int, form: ToolFormat) -> str:
        """All calls, from where the first marker ends."""
        head = form.head
        rest = head[head.index(form.marker) + len(form.marker) :]
        first = f"head_{number}"
        self._alternatives(first, form, skip_head=True)
        return f"{self._rules.literal(rest)} {first} {self._more(number, form)}"

    def _calls(self, number: int, form: ToolFormat) -> str:
        """All calls, from the beginning."""
        head = form.head.lstrip()  # What white space comes before a call is the model's business.
        opening = self._rules.literal(head)
        if head != form.head and not self._answer.is_open:
            opening = f"{SPACE} {opening}"
        first = f"head_{number}"
        if first not in self._rules:
            self._alternatives(first, form, skip_head=True)
        return f"{opening} {first} {self._more(number, form)}"

    def _calls_beside_json(self, number: int, form: ToolFormat) -> str:
        """All calls, where the answer may be JSON too: in the same pieces, so that neither hides the other."""
        name = f"whole_{number}"
        self._alternatives(name, form, skip_head=False, as_json=True)
        return f"{self._rules.literal(form.opening)} {name} {self._more(number, form)}"

    def _more(self, number: int, form: ToolFormat) -> str:
        closing = self._rules.literal(form.closing)
        if form.between is None or not self._answer.is_parallel:
            return closing
        name = f"call_{number}"
        if name not in self._rules:
            self._alternatives(name, form, skip_head=False)
        return f"({self._rules.literal(form.between)} {name}){{0,{_MOST_CALLS - 1}}} {closing}"

    def _alternatives(
        self, name: str, form: ToolFormat, *, skip_head: bool, as_json: bool = False
    ) -> None:
        self._rules.rule(name, "")  # Its place.
        pieces = form.call[1:] if skip_head and isinstance(form.call[0], str) else form.call
        ways = [
            self._call(form, pieces, tool, i, as_json=as_json)
            for i, tool in enumerate(self._answer.tools)
        ]
        self._rules.rule(name, " | ".join(ways))

    def _call(
        self,
        form: ToolFormat,
        pieces: Sequence[str | Slot],
        tool: Tool,
        number: int,
        *,
        as_json: bool,
    ) -> str:
        items: list[str] = []
        text = ""  # Neighbouring fixed text is written as one.
        for piece in pieces:
            if isinstance(piece, str):
                text += piece
                continue
            if piece is Slot.NAME:
                text += tool.name
                continue
            parts = _JSON_PIECE.findall(text) if as_json else [text]
            items += map(self._rules.literal, parts)
            text = ""
            if piece is Slot.ARGUMENTS:
                items.append(self._arguments.rule(form, tool, number))
            else:
                items.append("/[0-9]{1,3}/" if piece is Slot.INDEX else "/[A-Za-z0-9]{9}/")
        return " ".join([*items, self._rules.literal(text)])
