"""Tries again, so often and after such waits as the policy says.

What may pass is a :class:`PassingError`; everything else ends the tries at once.
"""

from __future__ import annotations

import logging
import random
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from ...errors import DownloadError
from .._names._url import origin_of

__all__ = ["PATIENT", "PassingError", "Policy", "Retrying", "sorted_errors"]

T = TypeVar("T")

_log = logging.getLogger("llmlocal")


@dataclass(frozen=True)
class Policy:
    """Limits of one download.

    Attributes:
        max_failures: Tries in a row without one new byte before giving up.
        max_first_failures: The same while the server has never answered: nobody waits a minute
            to hear that there is no network.
        first_delay_s: Wait after the first failure; doubled after each further one.
        max_delay_s: The longest such wait.
        max_retry_after_s: The longest wait that a server may ask for.
        connect_timeout_s: For a connection to be made.
        stall_timeout_s: Without one byte, before a connection counts as dead.
        tick_s: How often progress is reported, and a wish to stop is heard, while nothing comes.
    """

    max_failures: int = 8
    max_first_failures: int = 3
    first_delay_s: float = 0.5
    max_delay_s: float = 30.0
    max_retry_after_s: float = 300.0
    connect_timeout_s: float = 15.0
    stall_timeout_s: float = 30.0
    tick_s: float = 0.1

    def delay_s(self, failures: int, luck: float) -> float:
        """The wait after so many failures in a row; ``luck``, 0 to 1, spreads clients out."""
        doubled = self.first_delay_s * 2.0 ** min(failures - 1, 30)
        return min(doubled, self.max_delay_s) * (0.5 + luck / 2)


PATIENT = Policy()


class PassingError(Exception):
    """One try failed; another may not.

    Attributes:
        after_s: How long the server asks to wait, None where it does not.
        is_from_start: Whether what has arrived is of no use to the next.
    """

    def __init__(
        self, reason: str, after_s: float | None = None, *, is_from_start: bool = False
    ) -> None:
        super().__init__(reason)
        self.after_s = after_s
        self.is_from_start = is_from_start


class Retrying:
    """The tries for one URL.

    Args:
        url: As it may be shown.
        policy: When to give up.
        tick: Called several times a second while waiting; what it raises ends the tries.
        progress: A number that grows when a try, though it failed, was of use.
    """

    def __init__(
        self, url: str, policy: Policy, tick: Callable[[], None], progress: Callable[[], int]
    ) -> None:
        self.has_answered = False
        self._url = url
        self._policy = policy
        self.tick = tick
        self._progress = progress

    def run(self, attempt: Callable[[], T]) -> T:
        """The result of the first try that succeeds.

        Raises:
            DownloadError: None did; the message has the last reason.
        """
        failures = 0
        while True:
            before = self._progress()
            try:
                return attempt()
            except PassingError as exc:
                failures = 1 if self._progress() > before else failures + 1
                self._wait_after(exc, failures)

    def _wait_after(self, failure: PassingError, failures: int) -> None:
        policy = self._policy
        limit = policy.max_failures if self.has_answered else policy.max_first_failures
        if failures >= limit:
            message = f"{self._url}: {failure}, {failures} times in a row"
            raise DownloadError(message) from failure
        delay = failure.after_s
        if delay is None:
            delay = policy.delay_s(failures, random.random())
        elif delay > policy.max_retry_after_s:
            message = f"{self._url}: {failure}, and asks to wait {delay:.0f} seconds"
            raise DownloadError(message) from failure
        _log.info("%s: %s; trying again in %.1f s", self._url, failure, delay)
        end = time.monotonic() + delay
        while (left := end - time.monotonic()) > 0:
            threading.Event().wait(min(left, policy.tick_s))
            self.tick()


@contextmanager
def sorted_errors(url: str) -> Iterator[None]:
    """Turn the HTTP library's errors into those that may pass and those that will not.

    Raises:
        PassingError: Another try may succeed.
        DownloadError: None can.
    """
    import httpx

    try:
        yield
    except httpx.TransportError as exc:
        raise _transport_error(exc, url) from exc
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as exc:
        raise PassingError(_text(exc)) from exc


def _transport_error(error: Exception, url: str) -> Exception:
    import httpx

    if _is_about_certificates(error):
        hint = "set SSL_CERT_FILE if your network has certificates of its own"
        return DownloadError(f"{url}: the server's certificate is not trusted ({error}); {hint}")
    if isinstance(error, httpx.ProxyError):
        return DownloadError(f"{url}: the proxy refuses ({error}); see HTTPS_PROXY and NO_PROXY")
    if isinstance(error, httpx.UnsupportedProtocol):
        return DownloadError(f"{url}: {error}")
    host = origin_of(url)[1]
    if isinstance(error, httpx.TimeoutException):
        return PassingError(f"no answer from {host} in time")
    if isinstance(error, httpx.ConnectError):
        return PassingError(f"cannot connect to {host} ({_text(error)})")
    return PassingError(_text(error))


def _is_about_certificates(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
