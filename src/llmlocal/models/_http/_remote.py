"""Reads the beginning of a remote file by ranges: a header, not the gigabytes behind it."""

from __future__ import annotations

from .._report import Report
from ._client import Client
from ._retry import PATIENT, PassingError, Policy
from ._verdict import Complete

__all__ = ["RemoteFile"]

FIRST_BLOCK_BYTES = 1 << 20
"""Enough for most headers; each further block is twice as long."""


class RemoteFile:
    """The bytes of a URL from the first on, fetched as they are asked for.

    Args:
        url: Where they are.
        report: Asked several times a second whether to stop.
        is_asked_for: Whether the caller gave this URL, so that ``LLMLOCAL_TOKEN`` may go there.
        policy: When to give up.
    """

    def __init__(
        self, url: str, report: Report, *, is_asked_for: bool = False, policy: Policy = PATIENT
    ) -> None:
        self.size: int | None = None
        self._position = 0
        self._block_bytes = FIRST_BLOCK_BYTES
        self._client = Client(
            url,
            policy,
            lambda: report("download", self._position, None),
            lambda: self._position,
            is_asked_for=is_asked_for,
        )

    def __enter__(self) -> RemoteFile:
        self._client.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.__exit__()

    def read(self, _count: int) -> bytes:
        """The next bytes: as many as one request brings, none at the end.

        Raises:
            NotThereError: There is no such file.
            DownloadError: It cannot be fetched.
            DownloadCancelledError: The report's receiver said to stop.
        """
        if self._position == self.size:
            return b""
        block = self._client.retried(self._fetch_block)
        self._position += len(block)
        self._block_bytes *= 2
        return block

    def _fetch_block(self) -> bytes:
        start, count = self._position, self._block_bytes
        wanted = {"Range": f"bytes={start}-{start + count - 1}"}
        with self._client.get(lambda _: wanted, start, self.size) as answer:
            if isinstance(answer.verdict, Complete):
                return b""
            self.size = answer.verdict.total or self.size
            skip = start - answer.verdict.start
            body = bytearray()
            # Without range support the file begins anew; it is closed once enough has come.
            for pieces in answer.body:
                body += b"".join(pieces)
                if len(body) >= skip + count:
                    break
        if len(body) <= skip:
            message = "the connection ended before the header did"
            raise PassingError(message)
        return bytes(body[skip : skip + count])
