"""One HTTP exchange on a thread of its own, so that its caller is never stuck in a socket.

The caller takes blocks as they come, and in between is told several times a second that time
passes: that is when progress is shown and a wish to stop is heard, also while the server is
silent.  Reading from the network also goes on while the caller hashes and writes.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from ._http import Reply, Request, open_reply
from ._policy import Policy

if TYPE_CHECKING:
    import httpx

__all__ = ["Transfer"]

BLOCK_BYTES = 1 << 20
QUEUED_BLOCKS = 4


class _End:
    """Stands at the end of the queue."""


class Transfer:
    """One request and its answer.  Open it with ``with``.

    Args:
        request: What to send; its ``headers_for`` is called on the transfer's thread.
        policy: How often to tick.
        tick: Called in the caller's thread while nothing comes; what it raises passes through.
    """

    def __init__(
        self,
        request: Request,
        policy: Policy,
        tick: Callable[[], None],
    ) -> None:
        self._request = request
        self._tick_s = policy.tick_s
        self._tick = tick
        self._queue: queue.Queue[Reply | bytes | Exception | _End] = queue.Queue(QUEUED_BLOCKS)
        self._closed = threading.Event()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._work, name="llmlocal-download", daemon=True)

    def __enter__(self) -> Transfer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def reply(self) -> Reply:
        """The answer's head.

        Raises:
            DownloadError: A redirect cannot be followed.
            httpx.HTTPError: The connection failed.
        """
        item = self._next()
        assert isinstance(item, Reply)
        return item

    def blocks(self) -> Iterator[bytes]:
        """The answer's body, as it comes, decoded if the server has encoded it.

        Raises:
            httpx.HTTPError: The connection failed; all that had come was yielded before.
        """
        while isinstance(item := self._next(), bytes):
            yield item

    def close(self) -> None:
        """End it, wherever it is; a thread that is still connecting ends by its own time limit."""
        self._closed.set()
        if self._socket is not None:
            with contextlib.suppress(OSError):  # It may be closed already.
                self._socket.shutdown(socket.SHUT_RDWR)
            self._thread.join()

    def _next(self) -> Reply | bytes | _End:
        while True:
            try:
                item = self._queue.get(timeout=self._tick_s)
            except queue.Empty:
                self._tick()
                continue
            if isinstance(item, Exception):
                raise item
            return item

    def _work(self) -> None:
        try:
            self._exchange()
            self._put(_End())
        except Exception as exc:  # noqa: BLE001 - it is raised in the caller's thread
            self._put(exc)

    def _exchange(self) -> None:
        response, reply = open_reply(self._request)
        with contextlib.closing(response):
            stream = response.extensions["network_stream"]
            self._socket = stream.get_extra_info("socket")
            self._put(reply)
            if response.is_success:
                self._read(response, is_encoded=is_encoded(reply))

    def _read(self, response: httpx.Response, *, is_encoded: bool) -> None:
        pieces: list[bytes] = []
        size = 0
        try:
            for piece in response.iter_bytes() if is_encoded else response.iter_raw():
                pieces.append(piece)
                size += len(piece)
                # An idle caller gets what there is; a busy one gets large blocks.
                if size >= BLOCK_BYTES or self._queue.empty():
                    self._put(b"".join(pieces))
                    pieces.clear()
                    size = 0
                if self._closed.is_set():
                    return
        finally:
            if pieces:  # Also when the connection breaks: every byte that came counts.
                self._put(b"".join(pieces))

    def _put(self, item: Reply | bytes | Exception | _End) -> None:
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=self._tick_s)
            except queue.Full:
                continue
            return


def is_encoded(reply: Reply) -> bool:
    """Whether the body is not the file as it is, so that its sizes and ranges are others."""
    return reply.headers.get("content-encoding", "identity").lower() not in {"", "identity"}
