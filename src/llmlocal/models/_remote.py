"""Reads the beginning of a remote file by ranges: a header, not the gigabytes behind it."""

from __future__ import annotations

from types import TracebackType

from ._http import Reply, Request, make_client
from ._policy import PATIENT, Policy
from ._refusal import refusal
from ._report import Report
from ._retry import PassingError, Retrying, sorted_errors
from ._token import token_for
from ._transfer import Transfer, is_encoded
from ._url import shown
from ._verdict import Complete, Refuse, Retry, Write, judge

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
        self._url = url
        self._report = report
        self._policy = policy
        self._token = token_for(url, is_asked_for=is_asked_for)
        self._retrying = Retrying(shown(url), policy, self._tick, lambda: self._position)
        self._client = make_client(policy)
        self._position = 0
        self._block_bytes = FIRST_BLOCK_BYTES

    def __enter__(self) -> RemoteFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def read(self, _count: int) -> bytes:
        """The next bytes: as many as one request brings, none at the end.

        Raises:
            NotThereError: There is no such file.
            DownloadError: It cannot be fetched.
            DownloadCancelledError: The report's receiver said to stop.
        """
        if self._position == self.size:
            return b""
        block = self._retrying.run(self._fetch_block)
        self._position += len(block)
        self._block_bytes *= 2
        return block

    def _fetch_block(self) -> bytes:
        start, end = self._position, self._position + self._block_bytes
        request = Request(
            self._client, self._url, self._token, lambda _: {"Range": f"bytes={start}-{end - 1}"}
        )
        with (
            sorted_errors(shown(self._url)),
            Transfer(request, self._policy, self._tick) as transfer,
        ):
            reply = transfer.reply()
            self._retrying.has_answered = True
            verdict = judge(reply, self._position, self.size, is_encoded=is_encoded(reply))
            if isinstance(verdict, Complete):
                return b""
            skip = self._accept(verdict, reply)
            body = b""
            # Without range support the file begins anew; it is closed once enough has come.
            for pieces in transfer.batches():
                body += b"".join(pieces)
                if len(body) >= skip + self._block_bytes:
                    break
        if len(body) <= skip:
            message = "the connection ended before the header did"
            raise PassingError(message)
        return body[skip : skip + self._block_bytes]

    def _accept(self, verdict: Write | Retry | Refuse, reply: Reply) -> int:
        """How many bytes of the body to skip."""
        if isinstance(verdict, Refuse):
            raise refusal(self._url, verdict, reply, had_token=self._token is not None)
        if isinstance(verdict, Retry):
            raise PassingError(verdict.reason, verdict.after_s)
        self.size = verdict.total or self.size
        return self._position - verdict.start

    def _tick(self) -> None:
        self._report("download", self._position, None)
