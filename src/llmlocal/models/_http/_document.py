"""Fetches a small document: a list of files, a catalog.  Nothing of it is kept here."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import DownloadError
from .._names._url import shown
from .._report import Report
from ._client import Client
from ._retry import PATIENT, Policy

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

    def tick() -> None:
        report("download", 0, None)

    def attempt() -> tuple[bytes, Mapping[str, str]]:
        with client.get() as answer:
            body = bytearray()
            for pieces in answer.body:
                body += b"".join(pieces)
                if len(body) > MAX_BYTES:
                    message = f"{shown(url)} sends more than {MAX_BYTES} bytes"
                    raise DownloadError(message)
            return bytes(body), answer.reply.headers

    with Client(url, policy, tick, is_asked_for=is_asked_for) as client:
        return client.retried(attempt)
