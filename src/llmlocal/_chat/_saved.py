"""A chat session as JSON text, and back to plain settings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from llmlocal._quote import quote
from llmlocal.errors import ParameterError

__all__ = ["SavedSession", "read_session", "write_session"]

_FORMAT = "llmlocal chat session, version 1"
_SETTINGS = ("messages", "template", "tools", "documents", "variables", "overflow")


@dataclass(frozen=True)
class SavedSession:
    """What is kept of a session.

    Attributes:
        settings: Its arguments by name, ``messages`` and ``template`` included.
        options: Its defaults for answers.
        first: The message that its prompt begins with.
    """

    settings: dict[str, Any]
    options: dict[str, Any]
    first: int


def write_session(saved: SavedSession) -> str:
    """The JSON text for it."""
    texts = {"format": _FORMAT, **{name: saved.settings[name] for name in _SETTINGS}}
    return json.dumps(
        {**texts, "options": saved.options, "first": saved.first}, ensure_ascii=False, indent=1
    )


def read_session(text: str) -> SavedSession:
    """What :func:`write_session` was given.

    Raises:
        ParameterError: ``text`` is not what it gave; says why.
    """
    try:
        saved = json.loads(text)
        if saved["format"] != _FORMAT:
            raise ParameterError(f"this is {quote(saved['format'])}, not a {quote(_FORMAT)}")
        options = dict(saved["options"])
        if "logit_bias" in options:  # JSON has no numbers for keys
            options["logit_bias"] = {int(k): v for k, v in options["logit_bias"].items()}
        return SavedSession({name: saved[name] for name in _SETTINGS}, options, int(saved["first"]))
    except KeyError as exc:
        raise ParameterError(f"this is not a saved chat session: it has no {exc}") from exc
    except (ValueError, TypeError, AttributeError, RecursionError) as exc:
        raise ParameterError(f"this is not a saved chat session: {exc}") from exc
