"""Access tokens: which one goes to which server, and what to say when one is missing.

A token is sent to the server that it was set for and to no other: the hub's to the hub,
``LLMLOCAL_TOKEN`` to the host of a URL that the caller spelled out.
"""

from __future__ import annotations

import os
from pathlib import Path

from .._names._url import is_on_hub

__all__ = ["advice", "token_for"]

_HUB_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def token_for(url: str, *, is_asked_for: bool) -> str | None:
    """The token to send with the first request for the URL, None for none.

    Args:
        url: What will be requested.
        is_asked_for: Whether the caller gave this URL, rather than a catalog.
    """
    if is_on_hub(url):
        return _from(*_HUB_VARIABLES) or _saved_hub_token()
    return _from("LLMLOCAL_TOKEN") if is_asked_for else None


def advice(url: str, *, was_sent: bool) -> str:
    """What to do after the server said 401 or 403."""
    if is_on_hub(url):
        if was_sent:
            return "the token in HF_TOKEN is not allowed to read it: accept the model's terms on its page, or use another token"
        return "set HF_TOKEN to a token that is allowed to read it, after accepting the model's terms on its page"
    if was_sent:
        return "the token in LLMLOCAL_TOKEN is not allowed to read it"
    return "if it needs a token, give its URL and set LLMLOCAL_TOKEN"


def _from(*names: str) -> str | None:
    for name in names:
        value = os.environ.get(name, "").strip()
        if value:
            return value
    return None


def _saved_hub_token() -> str | None:
    """What the hub's own log-in command saved."""
    default_home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    hub_home = Path(os.environ.get("HF_HOME") or default_home)
    path = Path(os.environ.get("HF_TOKEN_PATH") or hub_home / "token").expanduser()
    try:
        return path.read_text("utf-8").strip() or None
    except (OSError, ValueError):
        return None
