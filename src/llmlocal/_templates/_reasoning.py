"""Reasoning: what a model writes for itself before it answers, told apart from the answer.

A model that reasons wraps it in tags that its template knows, and some templates open the first
one themselves.  :class:`ReasoningSplitter` takes generated text in pieces of any size and says
which of it is which; it never lets part of a tag through.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from ._marked import Segment

__all__ = ["Part", "ReasoningSplitter", "ReasoningTags", "reasoning_tags"]


class Part(NamedTuple):
    """A piece of what a model wrote.

    Attributes:
        kind: "reasoning", "answer"; for a call of a tool first "call", then "arguments".
        text: The piece; for "call" the name of the tool.
    """

    kind: Literal["reasoning", "answer", "call", "arguments"]
    text: str


@dataclass(frozen=True)
class ReasoningTags:
    """How reasoning is set apart.

    Attributes:
        opening: What stands before it.
        closing: What stands after it, whatever comes next.
        direct: What stands before an answer, with reasoning or without; mostly nothing.
        pad: White space that belongs to the tags.
    """

    opening: str
    closing: str
    direct: str = ""
    pad: str = "\n"

    def is_open_in(self, prompt: str) -> bool:
        """Whether the prompt ends inside of reasoning, so that the model begins with it."""
        return prompt.rstrip().endswith(self.opening)

    def begun(self, reasoning: str, answer: str, *, is_open: bool) -> list[Segment]:
        """A turn that has begun: with its reasoning, with its answer, or with both.

        Args:
            reasoning: What it has of reasoning.
            answer: What it has of an answer.
            is_open: Whether the prompt has opened the reasoning.
        """
        if not reasoning and not (is_open and answer):
            return _runs((self.direct if answer else "", True), (answer, False))
        return _runs(
            ("" if is_open else f"{self.opening}{self.pad}", True),
            (reasoning, False),
            (f"{self.pad}{self.closing}{self.direct}{self.pad * 2}" if answer else "", True),
            (answer, False),
        )


def _runs(*segments: Segment) -> list[Segment]:
    return [(text, is_own) for text, is_own in segments if text]


def reasoning_tags(template: str) -> ReasoningTags | None:
    """The tags that ``template`` names, or None when it is not for a model that reasons."""
    return next(
        (tags for tags in _KNOWN_TAGS if tags.opening in template or tags.closing in template), None
    )


_KNOWN_TAGS = (
    ReasoningTags("<think>", "</think>"),  # DeepSeek, Qwen, GLM, SmolLM3, Nemotron, Granite, ...
    ReasoningTags("<seed:think>", "</seed:think>"),
    ReasoningTags("[THINK]", "[/THINK]"),  # Magistral, Ministral
    ReasoningTags("<|START_THINKING|>", "<|END_THINKING|>"),  # Command
    ReasoningTags("<|inner_prefix|>", "<|inner_suffix|>"),  # Apertus
    ReasoningTags("<|channel>thought", "<channel|>"),  # Gemma 4
    ReasoningTags("<mm:think>", "</mm:think>"),  # MiniMax-M3
    ReasoningTags("<think:opensource>", "</think:opensource>"),  # Hy3
    ReasoningTags("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"),  # Apriel
    ReasoningTags(  # Solar-Open
        "<|think|>", "<|end|><|begin|>assistant", direct="<|content|>", pad=""
    ),
    ReasoningTags(  # gpt-oss
        "<|channel|>analysis<|message|>",
        "<|end|><|start|>assistant",
        direct="<|channel|>final<|message|>",
        pad="",
    ),
)


_State = Literal["start", "reasoning", "head", "answer"]
"""Before anything; in the reasoning; after it, before the answer; in the answer."""


class ReasoningSplitter:
    """Tells reasoning and answer apart, while they arrive.

    Args:
        tags: What to look for; None when all is answer.
        is_open: Whether the prompt has opened the reasoning.
    """

    def __init__(self, tags: ReasoningTags | None, *, is_open: bool = False) -> None:
        self._tags = tags
        self._state: _State = "answer" if tags is None else "start"
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
        if self._state in ("start", "head"):
            return self._begin(self._tags)
        if self._state == "answer":
            parts += self._cleaned("answer", self._held)
            self._held = ""
            return False
        before, tag, after = self._held.partition(self._tags.closing)
        if tag:
            parts += self._cleaned("reasoning", before.rstrip("\n"))
            self._enter("head" if self._tags.direct else "answer", after)
            return True
        keep = _overlap(before, self._tags.closing)
        # Blank lines stay back too: they belong to the tag if it comes next.
        keep = len(before) - len(before[: len(before) - keep].rstrip("\n"))
        parts += self._cleaned("reasoning", before[: len(before) - keep])
        self._held = before[len(before) - keep :]
        return False

    def _begin(self, tags: ReasoningTags) -> bool:
        text = self._held.lstrip()
        opening = tags.opening if self._state == "start" else ""
        if opening and text.startswith(opening):
            self._enter("reasoning", text[len(opening) :])
            return True
        if tags.direct and text.startswith(tags.direct):
            self._enter("answer", text[len(tags.direct) :])
            return True
        if opening.startswith(text) or tags.direct.startswith(text):
            return False
        if self._state == "start":
            self._has_written = True  # White space before an answer without reasoning stays.
        self._state = "answer"
        return True

    def _enter(self, state: _State, rest: str) -> None:
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
