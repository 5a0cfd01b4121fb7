"""Fetches one URL into a partial file: resumes, retries, and knows when to give up.

The rule of resuming: bytes may be joined only if something says that they are of one file: a
digest that all of them will be held against, or the server's own word (``If-Range``).
"""

from __future__ import annotations

import random
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ChecksumError, DownloadError
from ._card import Checks
from ._disk import readable_size
from ._http import Linked, Reply, make_client
from ._origin import Origin
from ._partial import Partial
from ._policy import PATIENT, Policy
from ._report import Report
from ._token import advice, token_for
from ._transfer import Transfer, is_encoded
from ._url import origin_of, shown
from ._verdict import Complete, Refuse, Retry, Verdict, Write, judge

if TYPE_CHECKING:
    import httpx

__all__ = ["NotThereError", "fetch_url"]


class NotThereError(DownloadError):
    """The server has no such file."""


class _PassingError(Exception):
    """One try failed; another may not."""

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


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
        self._url = url
        self._shown = shown(url)
        self._partial = partial
        self._report = report
        self._policy = policy
        self._token = token_for(url, is_asked_for=is_asked_for)
        self._has_answered = False

    def run(self) -> Checks:
        if self._is_whole():
            return self._promised()
        failures = 0
        with make_client(self._policy) as client:
            while True:
                before = self._partial.size
                try:
                    self._try(client)
                except _PassingError as exc:
                    failures = 1 if self._partial.size > before else failures + 1
                    self._wait_after(exc, failures)
                else:
                    return self._promised()

    def _try(self, client: httpx.Client) -> None:
        """One request.  Raises _PassingError if another may do better."""
        import httpx

        plan = self._plan()
        try:
            with Transfer(
                client, self._url, self._token, plan.headers, self._policy, self._tick
            ) as transfer:
                reply = transfer.reply()
                self._has_answered = True
                verdict = judge(reply, plan.have, self._total(), is_encoded=is_encoded(reply))
                if self._accept(verdict, reply):
                    for block in transfer.blocks():
                        self._write(block)
        except httpx.TransportError as exc:
            raise _transport_error(exc, self._shown) from exc
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as exc:
            raise _PassingError(str(exc) or type(exc).__name__) from exc
        total = self._total()
        if total is not None and self._partial.size < total:
            reason = f"the connection ended at {self._partial.size} of {total} bytes"
            raise _PassingError(reason)

    def _plan(self) -> _Plan:
        """Decide what to ask for; drops what has arrived if nothing can vouch for it."""
        partial = self._partial
        origin = partial.origin
        is_same_place = origin is not None and origin.url == self._shown
        vouched = is_same_place and origin is not None and (origin.validator or origin.sha256)
        if partial.size and not (partial.checks.pin_content or vouched):
            partial.restart()
            origin = None
        sha256 = partial.checks.sha256 or (origin.sha256 if origin and is_same_place else None)
        # Where a digest is known it is the judge; an ETag may differ between the hub's mirrors.
        if_range = origin.validator if origin and is_same_place and sha256 is None else None
        return _Plan(partial.size, if_range, sha256)

    def _accept(self, verdict: Verdict, reply: Reply) -> bool:
        """Act on the verdict; True if the body is to be written."""
        if isinstance(verdict, Refuse):
            raise self._refusal(verdict, reply)
        if isinstance(verdict, Retry):
            if verdict.from_start:
                self._partial.restart()
            raise _PassingError(verdict.reason, verdict.after_s)
        if isinstance(verdict, Complete):
            return False
        self._begin(verdict, reply)
        return True

    def _begin(self, verdict: Write, reply: Reply) -> None:
        partial = self._partial
        self._require_expected(verdict.total, reply.linked)
        if verdict.start != partial.size:
            partial.restart()
        elif partial.size:
            partial.is_patchwork = True
        partial.note(Origin(self._shown, verdict.validator, verdict.total, reply.linked.sha256))
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

    def _write(self, block: bytes) -> None:
        self._partial.append(block)
        self._tick()
        total = self._total()
        if total is not None and self._partial.size > total:
            message = f"{self._shown} sends more than the {total} bytes it promised"
            self._partial.restart()
            raise ChecksumError(message)

    def _refusal(self, verdict: Refuse, reply: Reply) -> DownloadError:
        said = f"{self._shown}: {verdict.reason}"
        if verdict.is_missing:
            return NotThereError(said)
        if verdict.is_denied:
            was_sent = self._token is not None
            where = "" if reply.url == self._shown else f" (from {reply.url})"
            return DownloadError(f"{said}{where}; {advice(self._url, was_sent=was_sent)}")
        return DownloadError(said)

    def _wait_after(self, failure: _PassingError, failures: int) -> None:
        policy = self._policy
        limit = policy.max_failures if self._has_answered else policy.max_first_failures
        if failures >= limit:
            raise DownloadError(self._given_up(f"{failure}, {failures} times in a row"))
        delay = failure.after_s
        if delay is None:
            delay = policy.delay_s(failures, random.random())
        elif delay > policy.max_retry_after_s:
            raise DownloadError(self._given_up(f"{failure}, and asks to wait {delay:.0f} seconds"))
        end = time.monotonic() + delay
        while (left := end - time.monotonic()) > 0:
            threading.Event().wait(min(left, policy.tick_s))
            self._tick()

    def _given_up(self, reason: str) -> str:
        arrived = self._partial.size
        kept = f"; {readable_size(arrived)} have arrived and are kept for the next try"
        return f"{self._shown}: {reason}{kept if arrived else ''}"

    def _is_whole(self) -> bool:
        """Whether an earlier try has all the bytes already, so that nothing need be asked."""
        total = self._total()
        return bool(total) and self._partial.size == total and self._plan().have == total

    def _total(self) -> int | None:
        origin = self._partial.origin
        return self._partial.checks.size or (origin.total if origin else None)

    def _promised(self) -> Checks:
        checks, origin = self._partial.checks, self._partial.origin
        sha256 = checks.sha256 or (origin.sha256 if origin else None)
        return Checks(self._total(), sha256, checks.md5)

    def _tick(self) -> None:
        self._report("download", self._partial.size, self._total())


def _transport_error(error: httpx.TransportError, url: str) -> Exception:
    """The failure as one that may pass, or as one that will not."""
    import httpx

    text = str(error) or type(error).__name__
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            hint = "set SSL_CERT_FILE if your network has certificates of its own"
            return DownloadError(
                f"{url}: the server's certificate cannot be verified ({text}); {hint}"
            )
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ProxyError):
        return DownloadError(f"{url}: the proxy refuses ({text}); see HTTPS_PROXY and NO_PROXY")
    if isinstance(error, httpx.UnsupportedProtocol):
        return DownloadError(f"{url}: {text}")
    if isinstance(error, httpx.TimeoutException):
        return _PassingError(f"no answer from {origin_of(url)[1]} in time")
    return _PassingError(text)
