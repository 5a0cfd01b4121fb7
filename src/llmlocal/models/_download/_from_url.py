"""Fetches one URL into a partial file, taking up what an earlier try left.

The rule of resuming: bytes may be joined only if something says that they are of one file: a
digest that all of them will be held against, or the server's own word (``If-Range``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ...errors import ChecksumError, DownloadError
from .._catalog._card import Checks
from .._disk._files import readable_size
from .._disk._notes import Origin
from .._http._client import Client
from .._http._exchange import Linked
from .._http._retry import PATIENT, PassingError, Policy
from .._http._verdict import WEB_PAGE, Write
from .._names._url import shown
from .._report import Report
from ._partial import Partial

__all__ = ["fetch_url"]

# A page may come as anything; no model begins like this.
_PAGE = re.compile(rb"\s{0,100}(?:\xef\xbb\xbf)?\s{0,100}<(?:!doctype|html)", re.IGNORECASE)


def fetch_url(
    url: str,
    partial: Partial,
    report: Report,
    *,
    is_asked_for: bool = False,
    policy: Policy = PATIENT,
) -> Checks:
    """Append the rest of the file to ``partial``.

    Args:
        url: Where it is.
        partial: What has arrived so far; open.
        report: Hears about progress; may cancel.
        is_asked_for: Whether the caller gave this URL, so that ``LLMLOCAL_TOKEN`` may go there.
        policy: When to give up.

    Returns:
        What the bytes must be: what was promised before, completed by what the server said.

    Raises:
        NotThereError: The server has no such file.
        ChecksumError: What the server has cannot be the promised file.
        DownloadError: It denies access, or every try failed; the message has the last reason.
        DownloadCancelledError: The report's receiver said to stop.
    """
    return _Download(url, partial, report, policy, is_asked_for=is_asked_for).run()


@dataclass(frozen=True)
class _Plan:
    """What one request asks for; read by the transfer's thread, so it does not change."""

    have: int
    if_range: str | None
    sha256: str | None

    def headers(self, linked: Linked) -> Mapping[str, str]:
        if not self.have or self.is_replaced(linked):
            return {}
        headers = {"Range": f"bytes={self.have}-"}
        if self.if_range is not None:
            headers["If-Range"] = self.if_range
        return headers

    def is_replaced(self, linked: Linked) -> bool:
        """Whether the hub has another file now than the one that the bytes so far are of."""
        return None not in {self.sha256, linked.sha256} and self.sha256 != linked.sha256


class _Download:
    def __init__(
        self, url: str, partial: Partial, report: Report, policy: Policy, *, is_asked_for: bool
    ) -> None:
        self._shown = shown(url)
        self._partial = partial
        self._report = report
        self._client = Client(
            url, policy, self._tick, lambda: partial.size, is_asked_for=is_asked_for
        )

    def run(self) -> Checks:
        if self._is_whole():
            return self._promised()
        try:
            with self._client as client:
                client.retried(self._try)
        except ChecksumError:
            raise
        except DownloadError as exc:
            arrived = self._partial.size
            if not arrived:
                raise
            message = f"{exc}; {readable_size(arrived)} have arrived and are kept for the next try"
            raise type(exc)(message) from exc
        return self._promised()

    def _try(self) -> None:
        """One request.  Raises PassingError if another may do better."""
        plan = self._plan()
        try:
            with self._client.get(plan.headers, plan.have, self._total()) as answer:
                if isinstance(answer.verdict, Write):
                    self._begin(answer.verdict, answer.reply.linked)
                    for pieces in answer.body:
                        self._write(pieces)
        except PassingError as exc:
            if exc.is_from_start:
                self._partial.restart()
            raise
        total = self._total()
        if total is not None and self._partial.size < total:
            reason = f"the connection ended at {self._partial.size} of {total} bytes"
            raise PassingError(reason)

    def _plan(self) -> _Plan:
        """Decide what to ask for; drops what has arrived if nothing can vouch for it."""
        partial = self._partial
        origin = partial.origin if partial.origin and partial.origin.url == self._shown else None
        is_vouched = origin is not None and (origin.validator or origin.sha256)
        if partial.size and not (partial.checks.pin_content or is_vouched):
            partial.restart()
            origin = None
        sha256 = partial.checks.sha256 or (origin.sha256 if origin else None)
        # Where a digest is known it is the judge; an ETag may differ between the hub's mirrors.
        if_range = origin.validator if origin and sha256 is None else None
        return _Plan(partial.size, if_range, sha256)

    def _begin(self, verdict: Write, linked: Linked) -> None:
        partial = self._partial
        self._require_expected(verdict.total, linked)
        if verdict.start != partial.size:
            partial.restart()
        elif partial.size:
            partial.is_patchwork = True
        partial.note(Origin(self._shown, verdict.validator, verdict.total, linked.sha256))
        partial.require_space(verdict.total)

    def _require_expected(self, total: int | None, linked: Linked) -> None:
        """Refuse a file that is known to be another before fetching it."""
        name = self._partial.slot.target.name
        size, sha256 = self._partial.checks.size, self._partial.checks.sha256
        if None not in {size, total} and size != total:
            message = f"{name}: expected file size of {size} bytes, {self._shown} has {total}"
            raise ChecksumError(message)
        if None not in {sha256, linked.sha256} and sha256 != linked.sha256:
            message = (
                f"{name}: expected SHA-256 hash of {sha256}, {self._shown} has {linked.sha256}"
            )
            raise ChecksumError(message)

    def _write(self, pieces: list[bytes]) -> None:
        data = b"".join(pieces)
        if not self._partial.size and _PAGE.match(data):
            message = f"{self._shown}: {WEB_PAGE}"
            raise DownloadError(message)
        self._partial.append(data)
        self._tick()
        total = self._total()
        if total is not None and self._partial.size > total:
            self._partial.restart()
            message = f"{self._shown} sends more than the {total} bytes it promised"
            raise ChecksumError(message)

    def _is_whole(self) -> bool:
        """Whether an earlier try has all the bytes and a digest to judge them by.

        Without one the server is asked whether it still has the same file.
        """
        total, promised = self._total(), self._promised()
        is_complete = total is not None and self._partial.size == total
        return is_complete and promised.pin_content and self._plan().have == total

    def _total(self) -> int | None:
        origin = self._partial.origin
        return self._partial.checks.size or (origin.total if origin else None)

    def _promised(self) -> Checks:
        checks, origin = self._partial.checks, self._partial.origin
        sha256 = checks.sha256 or (origin.sha256 if origin else None)
        return Checks(self._total(), sha256, checks.md5)

    def _tick(self) -> None:
        self._report("download", self._partial.size, self._total())
