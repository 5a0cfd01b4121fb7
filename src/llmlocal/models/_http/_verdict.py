"""What an HTTP answer means for a download: a pure decision, tried on every case in the tests."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TypeAlias

from ._exchange import Reply

__all__ = ["WEB_PAGE", "Complete", "Refuse", "Retry", "Verdict", "Write", "judge", "retry_after_s"]

_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
_PASSING = frozenset({408, 425, 429})


@dataclass(frozen=True)
class Write:
    """The body is to be written.

    Attributes:
        start: The place of its first byte in the file.
        total: Bytes in the whole file, None where the server does not say.
        validator: What to send as ``If-Range`` when this has to be resumed.
    """

    start: int
    total: int | None
    validator: str | None


@dataclass(frozen=True)
class Complete:
    """There is nothing more to fetch."""


@dataclass(frozen=True)
class Retry:
    """Another try may succeed.

    Attributes:
        reason: What to say if none does.
        after_s: How long the server asks to wait.
        from_start: Whether what has arrived is of no use.
    """

    reason: str
    after_s: float | None = None
    from_start: bool = False


@dataclass(frozen=True)
class Refuse:
    """No other try can succeed.

    Attributes:
        reason: What the server said.
        is_missing: Whether it has no such file.
        is_denied: Whether it wants another token.
    """

    reason: str
    is_missing: bool = False
    is_denied: bool = False


WEB_PAGE = (
    "a web page came instead of the file; a proxy or a log-in may be in the way, or the address is "
    "that of a page: open it in a browser to see"
)

Verdict: TypeAlias = Write | Complete | Retry | Refuse


def judge(reply: Reply, have: int, known_total: int | None, *, is_encoded: bool) -> Verdict:
    """What to do with the answer.

    Args:
        reply: Its head.
        have: Bytes that have arrived so far; the request was for what follows them.
        known_total: Bytes in the whole file, where that is known already.
        is_encoded: Whether the body is compressed, so that its sizes are not the file's.
    """
    if reply.status == HTTPStatus.OK and _is_page(reply):
        return Refuse(WEB_PAGE)
    if reply.status == HTTPStatus.OK:
        total = None if is_encoded else _number(reply.headers.get("content-length"))
        return Write(0, reply.linked.size or total, _validator(reply, is_encoded=is_encoded))
    if reply.status == HTTPStatus.PARTIAL_CONTENT:
        return _judge_range(reply, have, known_total, is_encoded=is_encoded)
    if reply.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return _judge_no_range(reply, have)
    return _judge_failure(reply)


def retry_after_s(value: str | None, now_s: float) -> float | None:
    """How long a ``Retry-After`` header asks to wait: seconds, or a date."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(parsedate_to_datetime(value).timestamp() - now_s, 0.0)
    except (ValueError, TypeError, OverflowError):
        return None


def _judge_range(reply: Reply, have: int, known_total: int | None, *, is_encoded: bool) -> Verdict:
    start, total = _content_range(reply)
    if is_encoded or start != have:
        return Retry("the server sent another part of the file than was asked for", from_start=True)
    if None not in {total, known_total} and total != known_total:
        return Retry("the file changed on the server", from_start=True)
    return Write(have, total or known_total, _validator(reply, is_encoded=False))


def _judge_no_range(reply: Reply, have: int) -> Verdict:
    _, total = _content_range(reply)
    if have and total == have:
        return Complete()
    return Retry("the server has no such part of the file", from_start=True)


def _judge_failure(reply: Reply) -> Verdict:
    said = _said(reply)
    missing = {"RepoNotFound", "EntryNotFound", "RevisionNotFound"}
    if reply.headers.get("x-error-code") in missing:
        return Refuse(said, is_missing=True)  # The hub says 401 of what does not exist.
    if reply.status in _PASSING or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Retry(said, retry_after_s(reply.headers.get("retry-after"), time.time()))
    return Refuse(
        said,
        is_missing=reply.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE},
        is_denied=reply.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN},
    )


def _is_page(reply: Reply) -> bool:
    return reply.headers.get("content-type", "").partition(";")[0].strip().lower() == "text/html"


def _said(reply: Reply) -> str:
    try:
        phrase = f" {HTTPStatus(reply.status).phrase}"
    except ValueError:
        phrase = ""
    detail = reply.headers.get("x-error-message", "")
    return f"HTTP {reply.status}{phrase}" + (f": {detail[:200]}" if detail else "")


def _content_range(reply: Reply) -> tuple[int | None, int | None]:
    match = _CONTENT_RANGE.fullmatch(reply.headers.get("content-range", "").strip())
    return (_number(match[1]), _number(match[2])) if match else (None, None)


def _validator(reply: Reply, *, is_encoded: bool) -> str | None:
    """What identifies these bytes to the server; a weak ETag does not."""
    if is_encoded:
        return None
    etag = reply.headers.get("etag", "")
    return etag if etag.startswith('"') else reply.headers.get("last-modified")


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
