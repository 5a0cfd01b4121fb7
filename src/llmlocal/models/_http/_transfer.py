"""One HTTP exchange on a thread of its own, so that its caller is never stuck in a socket.

The caller takes what has come, and in between is told several times a second that time passes:
that is when progress is shown and a wish to stop is heard, also while the server is silent.
Reading from the network also goes on while the caller hashes and writes.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from ._exchange import Reply, Request, open_reply
from ._retry import Policy

__all__ = ["Transfer", "is_encoded"]

MAX_WAITING_BYTES = 2 << 20
"""The thread reads ahead of its caller by so much."""


class Transfer:
    """One request and its answer.  Open it with ``with``.

    Args:
        request: What to send; its ``headers_for`` is called on the transfer's thread.
        policy: How often to tick.
        tick: Called in the caller's thread while nothing comes; what it raises passes through.
    """

    def __init__(self, request: Request, policy: Policy, tick: Callable[[], None]) -> None:
        self._request = request
        self._tick_s = policy.tick_s
        self._tick = tick
        self._changed = threading.Condition()  # Guards all below; told of every change.
        self._reply: Reply | None = None
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self._error: Exception | None = None
        self._is_done = False
        self._is_closed = False
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._work, name="llmlocal-download", daemon=True)

    def __enter__(self) -> Transfer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reply(self) -> Reply:
        """The answer's head.

        Raises:
            DownloadError: A redirect cannot be followed.
            httpx.HTTPError: The connection failed.
        """
        with self._changed:
            self._wait_until(lambda: self._reply is not None or self._is_done)
            if self._reply is None:
                assert self._error is not None
                raise self._error
            return self._reply

    def batches(self) -> Iterator[list[bytes]]:
        """The answer's body, as it comes, decoded if the server has encoded it.

        Raises:
            httpx.HTTPError: The connection failed; all that had come was yielded before.
        """
        while pieces := self._take():
            yield pieces
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """End it, wherever it is; a thread that is still connecting ends by its own time limit."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            connected = self._socket
        if connected is not None:
            with contextlib.suppress(OSError):  # It may be closed already.
                connected.shutdown(socket.SHUT_RDWR)
            self._thread.join()

    def _take(self) -> list[bytes]:
        """All that has come; nothing once all has been taken."""
        with self._changed:
            self._wait_until(lambda: bool(self._pieces) or self._is_done)
            pieces, self._pieces = self._pieces, []
            self._waiting_bytes = 0
            self._changed.notify_all()
            return pieces

    def _wait_until(self, is_so: Callable[[], bool]) -> None:
        while not self._changed.wait_for(is_so, self._tick_s):
            self._changed.release()
            try:
                self._tick()
            finally:
                self._changed.acquire()

    def _work(self) -> None:
        error = None
        try:
            self._exchange()
        except Exception as exc:  # noqa: BLE001 - it is raised in the caller's thread
            error = exc
        with self._changed:
            self._error = error
            self._is_done = True
            self._changed.notify_all()

    def _exchange(self) -> None:
        response, reply = open_reply(self._request)
        with contextlib.closing(response):
            with self._changed:
                self._socket = response.extensions["network_stream"].get_extra_info("socket")
                self._reply = reply
                self._changed.notify_all()
            if response.is_success:
                self._read(response.iter_bytes() if is_encoded(reply) else response.iter_raw())

    def _read(self, pieces: Iterator[bytes]) -> None:
        for piece in pieces:
            with self._changed:
                self._changed.wait_for(self._has_room)
                if self._is_closed:
                    return
                self._pieces.append(piece)
                self._waiting_bytes += len(piece)
                self._changed.notify_all()

    def _has_room(self) -> bool:
        return self._is_closed or self._waiting_bytes < MAX_WAITING_BYTES


def is_encoded(reply: Reply) -> bool:
    """Whether the body is not the file as it is, so that its sizes and ranges are others."""
    return reply.headers.get("content-encoding", "identity").lower() not in {"", "identity"}
