"""Values of arguments in the ways that models write them, as plain data."""

from __future__ import annotations

import json
import re
from ast import literal_eval
from collections.abc import Mapping
from typing import Any

from llmlocal._templates import Segment

__all__ = ["QUOTE", "dialect_segments", "parse_dialect", "parse_value"]

QUOTE = '<|"|>'
"""What stands around strings in Gemma 4's own notation."""

_NOT_DATA = re.compile(r'[{}\[\],:]|<\|"\|>')


def parse_value(text: str) -> Any:
    """A value in JSON, or as Python shows it; any other text is itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        value = literal_eval(text.replace("\n", "\\n"))
        json.dumps(value)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return text
    return list(value) if isinstance(value, tuple) else value


def dialect_segments(value: Any) -> list[Segment]:
    """A value in Gemma 4's notation (bare keys, strings between quotes of their own), in runs."""
    if isinstance(value, str):
        return [(QUOTE, True), (value, False), (QUOTE, True)]
    if isinstance(value, Mapping):
        items = [[(f"{key}:", False), *dialect_segments(item)] for key, item in value.items()]
        return _bracketed("{", items, "}")
    if isinstance(value, list | tuple):
        return _bracketed("[", [dialect_segments(item) for item in value], "]")
    return [(json.dumps(value), False)]


def _bracketed(opening: str, items: list[list[Segment]], closing: str) -> list[Segment]:
    found: list[Segment] = [(opening, False)]
    for i, item in enumerate(items):
        found += [(",", False), *item] if i else item
    return [*found, (closing, False)]


def parse_dialect(text: str) -> Any:
    """The value in Gemma 4's notation; None for what is none."""
    try:
        value, end = _parse(text, 0, 0)
    except (ValueError, IndexError, RecursionError):
        return None
    return value if not text[end:].strip() else None


def _parse(text: str, at: int, depth: int) -> tuple[Any, int]:
    if depth > 100:
        raise ValueError
    if text.startswith(QUOTE, at):
        end = text.index(QUOTE, at + len(QUOTE))
        return text[at + len(QUOTE) : end], end + len(QUOTE)
    if text[at] == "{":
        return _parse_object(text, at + 1, depth + 1)
    if text[at] == "[":
        items: list[Any] = []
        at += 1
        while text[at] != "]":
            item, at = _parse(text, at + (text[at] == ","), depth + 1)
            items.append(item)
        return items, at + 1
    stop = _NOT_DATA.search(text, at)
    end = stop.start() if stop else len(text)
    return json.loads(text[at:end]), end


def _parse_object(text: str, at: int, depth: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    while text[at] != "}":
        at += text[at] == ","
        colon = text.index(":", at)
        key = text[at:colon].strip().removeprefix(QUOTE).removesuffix(QUOTE)
        found[key], at = _parse(text, colon + 1, depth)
    return found, at + 1
