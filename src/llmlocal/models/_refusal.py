"""What to tell the user when a server will not hand a file over."""

from __future__ import annotations

from ..errors import DownloadError
from ._http import Reply
from ._token import advice
from ._url import shown
from ._verdict import Refuse

__all__ = ["NotThereError", "refusal"]


class NotThereError(DownloadError):
    """The server has no such file."""


def refusal(url: str, verdict: Refuse, reply: Reply, *, had_token: bool) -> DownloadError:
    """The error to raise: what was asked for, what the server said, and what can be done."""
    said = f"{shown(url)}: {verdict.reason}"
    if verdict.is_missing:
        return NotThereError(said)
    if verdict.is_denied:
        where = "" if reply.url == shown(url) else f" (from {reply.url})"
        return DownloadError(f"{said}{where}; {advice(url, was_sent=had_token)}")
    return DownloadError(said)
