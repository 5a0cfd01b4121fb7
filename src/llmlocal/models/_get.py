"""Fetches a small document: a list of files, a catalog.  Nothing of it is kept here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import DownloadError
from ._http import Request, make_client
from ._policy import PATIENT, Policy
from ._refusal import refusal
from ._report import Report
from ._retry import PassingError, Retrying, sorted_errors
from ._token import token_for
from ._transfer import Transfer, is_encoded
from ._url import shown
from ._verdict import Refuse, Retry, judge

if TYPE_CHECKING:
    import httpx

__all__ = ["get_document"]

MAX_BYTES = 32_000_000


def get_document(
    url: str, report: Report, *, is_asked_for: bool = False, policy: Policy = PATIENT
) -> tuple[bytes, Mapping[str, str]]:
    """The document and its headers by lower-case name.

    Args:
        url: Where it is.
        report: Asked several times a second whether to stop.
        is_asked_for: Whether the caller gave this URL, so that ``LLMLOCAL_TOKEN`` may go there.
        policy: When to give up.

    Raises:
        NotThereError: There is none.
        DownloadError: It cannot be fetched, or is too large to be what it should be.
        DownloadCancelledError: The report's receiver said to stop.
    """
    token = token_for(url, is_asked_for=is_asked_for)

    def tick() -> None:
        report("download", 0, None)

    retrying = Retrying(shown(url), policy, tick, lambda: 0)

    def attempt() -> tuple[bytes, Mapping[str, str]]:
        return _try(client, url, token, policy, retrying)

    with make_client(policy) as client:
        return retrying.run(attempt)


def _try(
    client: httpx.Client, url: str, token: str | None, policy: Policy, retrying: Retrying
) -> tuple[bytes, Mapping[str, str]]:
    request = Request(client, url, token)
    with sorted_errors(shown(url)), Transfer(request, policy, retrying.tick) as transfer:
        reply = transfer.reply()
        retrying.has_answered = True
        verdict = judge(reply, 0, None, is_encoded=is_encoded(reply))
        if isinstance(verdict, Refuse):
            raise refusal(url, verdict, reply, had_token=token is not None)
        if isinstance(verdict, Retry):
            raise PassingError(verdict.reason, verdict.after_s)
        body = b""
        for pieces in transfer.batches():
            body += b"".join(pieces)
            if len(body) > MAX_BYTES:
                message = f"{shown(url)} sends more than {MAX_BYTES} bytes"
                raise DownloadError(message)
        return body, reply.headers
