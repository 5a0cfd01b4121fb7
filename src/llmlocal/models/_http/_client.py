"""Asks for one URL as often as the policy allows, and judges each answer before its body is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ...errors import DownloadError
from .._names._url import shown
from ._exchange import Linked, Reply, Request, make_client
from ._offline import require_online
from ._retry import PassingError, Policy, Retrying, sorted_errors
from ._token import advice, token_for
from ._transfer import Transfer, is_encoded
from ._verdict import Complete, Refuse, Retry, Write, judge

if TYPE_CHECKING:
    import httpx

__all__ = ["Answer", "Client", "NotThereError"]

T = TypeVar("T")


class NotThereError(DownloadError):
    """The server has no such file."""


@dataclass(frozen=True)
class Answer:
    """An answer that is of use.

    Attributes:
        reply: Its head.
        verdict: What to do with its body.
        body: The body as it comes, decoded if the server has encoded it.
    """

    reply: Reply
    verdict: Write | Complete
    body: Iterator[list[bytes]]


class Client:
    """The conversation about one URL.  Open it with ``with``.

    Args:
        url: Where the bytes are.
        policy: When to give up.
        tick: Called several times a second in the caller's thread; what it raises passes through.
        progress: A number that grows when a try, though it failed, was of use.
        is_asked_for: Whether the caller gave this URL, so that ``LLMLOCAL_TOKEN`` may go there.
    """

    def __init__(
        self,
        url: str,
        policy: Policy,
        tick: Callable[[], None],
        progress: Callable[[], int] = lambda: 0,
        *,
        is_asked_for: bool,
    ) -> None:
        self._url = url
        self._policy = policy
        self._tick = tick
        self._token = token_for(url, is_asked_for=is_asked_for)
        self._retrying = Retrying(shown(url), policy, tick, progress)
        self._client: httpx.Client | None = None

    def __enter__(self) -> Client:
        require_online(shown(self._url))
        self._client = make_client(self._policy)
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.close()

    def retried(self, attempt: Callable[[], T]) -> T:
        """The result of the first try that succeeds; one that raises PassingError does not.

        Raises:
            DownloadError: None did; the message has the last reason.
        """
        return self._retrying.run(attempt)

    @contextmanager
    def get(
        self,
        headers_for: Callable[[Linked], Mapping[str, str]] = lambda _: {},
        have: int = 0,
        total: int | None = None,
    ) -> Iterator[Answer]:
        """Send one request.

        Args:
            headers_for: Further headers, given what the hub has said so far; called on another
                thread.
            have: Bytes that have arrived so far; the request is for what follows them.
            total: Bytes in the whole file, where that is known already.

        Raises:
            PassingError: Another try may do better.
            NotThereError: The server has no such file.
            DownloadError: It denies access, or no other try can succeed.
        """
        assert self._client is not None
        request = Request(self._client, self._url, self._token, headers_for)
        with (
            sorted_errors(shown(self._url)),
            Transfer(request, self._policy, self._tick) as transfer,
        ):
            reply = transfer.reply()
            self._retrying.has_answered = True
            verdict = judge(reply, have, total, is_encoded=is_encoded(reply))
            if isinstance(verdict, Refuse):
                raise self._refusal(verdict, reply)
            if isinstance(verdict, Retry):
                raise PassingError(
                    verdict.reason, verdict.after_s, is_from_start=verdict.from_start
                )
            yield Answer(reply, verdict, transfer.batches())

    def _refusal(self, verdict: Refuse, reply: Reply) -> DownloadError:
        """What was asked for, what the server said, and what can be done."""
        said = f"{shown(self._url)}: {verdict.reason}"
        if verdict.is_missing:
            return NotThereError(said)
        if verdict.is_denied:
            where = "" if reply.url == shown(self._url) else f" (from {reply.url})"
            what = advice(self._url, was_sent=self._token is not None)
            return DownloadError(f"{said}{where}; {what}")
        return DownloadError(said)
