"""Names as people paste them from elsewhere, and the form that is right here."""

from __future__ import annotations

import re

__all__ = ["right_form"]

_COMMAND = re.compile(r"(?:ollama (?:run|pull)|llmlocal (?:run|chat|pull)|lms (?:get|load)) +")
_HUB = re.compile(r"(?:https?://)?(?:www\.)?(?:hf\.co|huggingface\.co)/", re.IGNORECASE)
_MODEL = re.compile(r"[\w.-]{1,100}/[\w.-]{1,100}(?::[\w.-]{1,40})?")
_FILE = re.compile(r"[\w.-]{1,100}/[\w.-]{1,100}(?:/[\w.-]{1,200}){1,5}\.gguf", re.IGNORECASE)
_MOST_CHARACTERS = 1000


def right_form(name: str) -> str | None:
    """What a pasted name should be; None where it is of none of the known forms.

    Example:
        >>> right_form("ollama run hf.co/owner/repo:Q4_0")
        'hf:owner/repo:Q4_0'
        >>> right_form("ollama run llama3.2:1b")
        'llama3.2:1b'
    """
    if len(name) > _MOST_CHARACTERS:
        return None
    bare = _COMMAND.sub("", name.strip(), count=1)
    path = _HUB.sub("", bare, count=1).rstrip("/")
    if _MODEL.fullmatch(path) or _FILE.fullmatch(path):
        return f"hf:{path}"
    return bare if bare != name.strip() else None
