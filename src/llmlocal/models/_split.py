"""Models cut into several files, ``NAME-00001-of-00003.gguf``: names only, no disk."""

from __future__ import annotations

import re

__all__ = ["is_later_part", "part_names", "whole_name"]

_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
MAX_PARTS = 999


def part_names(name: str) -> tuple[str, ...]:
    """The names of all files of the model that this one belongs to, the first part first."""
    match = _PART.fullmatch(name)
    if match is None or not 1 <= int(match["number"]) <= int(match["count"]) <= MAX_PARTS:
        return (name,)
    count = int(match["count"])
    return tuple(f"{match['stem']}-{n:05d}-of-{count:05d}.gguf" for n in range(1, count + 1))


def is_later_part(name: str) -> bool:
    """Whether this is a part of a model, but not its first."""
    return part_names(name)[0] != name


def whole_name(name: str) -> str:
    """What the model is called: without the part's number and without ``.gguf``."""
    match = _PART.fullmatch(name)
    stem = match["stem"] if match and len(part_names(name)) > 1 else name
    return stem[:-5] if stem.lower().endswith(".gguf") else stem
