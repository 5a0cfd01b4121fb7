"""Reasoning: what a model writes for itself before it answers, told apart from the answer.

A model that reasons wraps it in tags that its template knows, and some templates open the first
one themselves.  :class:`ReasoningSplitter` takes generated text in pieces of any size and says
which of it is which; it never lets part of a tag through.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

__all__ = ["Part", "ReasoningSplitter", "ReasoningTags", "reasoning_tags"]

_KNOWN_TAGS = (
    ("<think>", "</think>"),  # DeepSeek, Qwen, GLM, SmolLM3, Nemotron, Granite, ...
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),  # Magistral, Ministral
    ("<|START_THINKING|>", "<|END_THINKING|>"),  # Command
    ("<|inner_prefix|>", "<|inner_suffix|>"),  # Apertus
)


class Part(NamedTuple):
    """A piece of what a model wrote."""

    kind: Literal["reasoning", "answer"]
    text: str


@dataclass(frozen=True)
class ReasoningTags:
    """How reasoning is set apart."""

    opening: str
    closing: str

    def is_open_in(self, prompt: str) -> bool:
        """Whether the prompt ends inside of reasoning, so that the model begins with it."""
        return prompt.rstrip().endswith(self.opening)

    def wrap(self, reasoning: str | None, answer: str, *, is_open: bool) -> str:
        """The text of a turn that has reasoned and goes on with its answer."""
        if not reasoning and not (is_open and answer):
            return answer
        opening = "" if is_open else f"{self.opening}\n"
        closing = f"\n{self.closing}\n\n{answer}" if answer else ""
        return f"{opening}{reasoning or ''}{closing}"


def reasoning_tags(template: str) -> ReasoningTags | None:
    """The tags that ``template`` knows, or None when it is not for a model that reasons."""
    for opening, closing in _KNOWN_TAGS:
        if opening in template or closing in template:
            return ReasoningTags(opening, closing)
    return None


class ReasoningSplitter:
    """Tells reasoning and answer apart, while they arrive.

    Args:
        tags: What to look for; None when all is answer.
        is_open: Whether the prompt has opened the reasoning.
    """

    def __init__(self, tags: ReasoningTags | None, *, is_open: bool = False) -> None:
        self._tags = tags
        self._state: Literal["start", "reasoning", "answer"] = "answer" if tags is None else "start"
        if is_open:
            self._state = "reasoning"
        self._held = ""
        self._has_written = False  # since the state began; blank lines at its head are dropped

    def feed(self, text: str) -> list[Part]:
        """What is certain now that ``text`` has come."""
        if self._tags is None:
            return [Part("answer", text)] if text else []
        self._held += text
        parts: list[Part] = []
        while self._advance(parts):
            pass
        return parts

    def flush(self) -> list[Part]:
        """The rest, now that nothing more comes."""
        held, self._held = self._held, ""
        kind: Literal["reasoning", "answer"] = (
            "reasoning" if self._state == "reasoning" else "answer"
        )
        return self._cleaned(kind, held.rstrip("\n") if kind == "reasoning" else held)

    def _advance(self, parts: list[Part]) -> bool:
        """One step; False when more text is needed."""
        assert self._tags is not None
        if self._state == "start":
            return self._start(self._tags.opening)
        if self._state == "answer":
            parts += self._cleaned("answer", self._held)
            self._held = ""
            return False
        before, tag, after = self._held.partition(self._tags.closing)
        if tag:
            parts += self._cleaned("reasoning", before.rstrip("\n"))
            self._enter("answer", after)
            return True
        keep = _overlap(before, self._tags.closing)
        # Blank lines stay back too: they belong to the tag if it comes next.
        keep = len(before) - len(before[: len(before) - keep].rstrip("\n"))
        parts += self._cleaned("reasoning", before[: len(before) - keep])
        self._held = before[len(before) - keep :]
        return False

    def _start(self, opening: str) -> bool:
        text = self._held.lstrip()
        if text.startswith(opening):
            self._enter("reasoning", text[len(opening) :])
            return True
        if opening.startswith(text):
            return False
        self._state, self._has_written = "answer", True
        return True

    def _enter(self, state: Literal["reasoning", "answer"], rest: str) -> None:
        self._state, self._held, self._has_written = state, rest, False

    def _cleaned(self, kind: Literal["reasoning", "answer"], text: str) -> list[Part]:
        if not self._has_written and self._tags is not None and self._state != "start":
            text = text.lstrip("\n")
        if not text:
            return []
        self._has_written = True
        return [Part(kind, text)]


def _overlap(text: str, tag: str) -> int:
    """Characters at the end of ``text`` that may be the beginning of ``tag``."""
    return next(
        (n for n in range(min(len(text), len(tag) - 1), 0, -1) if text.endswith(tag[:n])), 0
    )
