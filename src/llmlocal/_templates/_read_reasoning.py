"""Reads off a template how it sets reasoning apart: renders an answer with and without, and compares."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ._reasoning import ReasoningTags

__all__ = ["read_reasoning_tags"]

_REASONING = "thoughts-of-a-needle"
_ANSWER = "needle-in-a-haystack"
_MAX_LENGTH = 100
_CALL = {"id": "call00001", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
_UNFINISHED_TAG = re.compile(r"<[^<>\s]*$|\[[^\[\]\s]*$")
_LAST_TAG = re.compile(r"(<[^<>\s]+>\w+)?(<[^<>\s]+>|\[[^\[\]\s]+\])\w*\s*$")

Render = Callable[[list[dict[str, Any]]], str]


def read_reasoning_tags(render: Render) -> ReasoningTags | None:
    """The tags, or None where the template doesn't show reasoning.

    Args:
        render: The prompt for messages, with the assistant's turn opened if the last is the user's;
            empty where the template fails.
    """
    question = {"role": "user", "content": "q"}
    plain = {"role": "assistant", "content": _ANSWER}
    thought = {**plain, "reasoning_content": _REASONING, "thinking": _REASONING}
    thought["reasoning"] = _REASONING
    before, shown, rest = render([question, thought]).partition(_REASONING)
    between, answered, _ = rest.partition(_ANSWER)
    if not shown or not answered:
        return None
    without = render([question, plain]).partition(_ANSWER)[0]
    header = opened = render([question])
    if not opened or not before.startswith(opened):
        header = _common(before, without)
    opening = before[len(header) :]
    if not opening.strip():  # The opened turn has it already, or every answer.
        opening = _opening_in(before, without)
        if not opened.rstrip().endswith(opening.strip()):
            return None
    direct = without[len(header) :].strip() if without.startswith(header) else ""
    calling = render([question, {**thought, "content": "", "tool_calls": [_CALL]}])
    to_call = calling.partition(_REASONING)[2]
    if direct and between.strip() != direct and between.endswith(direct):
        between = between[: -len(direct)]
    elif to_call:  # What stands after the reasoning whatever comes next.
        between = _common(between, to_call)
    tags = _tags(opening, between, direct)
    return tags if _is_plausible(tags) else None


def _opening_in(before: str, without: str) -> str:
    """The opening at the end of a text, found by its form."""
    opening = before[len(_common(before, without)) :]
    last = _LAST_TAG.search(before[: len(before) - len(opening)])
    if opening.strip() and opening[0].isalpha() and last:
        return last.group() + opening
    last = _LAST_TAG.search(before)
    return opening if opening.strip() or last is None else last.group()


def _tags(opening: str, closing: str, direct: str) -> ReasoningTags:
    pad = "\n" if opening.endswith("\n") else ""
    opening, closing = opening.strip(), closing.strip()
    has_tag = opening in direct or closing in direct  # reasoning that is empty, but marked
    return ReasoningTags(opening, closing, direct="" if has_tag else direct, pad=pad)


def _is_plausible(tags: ReasoningTags) -> bool:
    return all(
        0 < len(tag) <= _MAX_LENGTH and not tag.isalnum() and "\n\n" not in tag
        for tag in (tags.opening, tags.closing)
    )


def _common(a: str, b: str) -> str:
    """What both begin with, without the beginning of a tag that they don't share."""
    length = next(
        (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )
    return _UNFINISHED_TAG.sub("", a[:length])
