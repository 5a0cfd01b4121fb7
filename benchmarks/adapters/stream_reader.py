"""A client of many streams at once that does next to nothing: it shares the CPUs with the server."""

from __future__ import annotations

import ctypes
import itertools
import json
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Reading", "cpu_seconds", "read_streams", "thread_cpu_seconds"]

_EVENT = b"data: {"


@dataclass
class Reading:
    """What came of one stream.

    Attributes:
        received: All of it, with HTTP's framing.
        times: When events came; several that came at once are one.
    """

    received: bytearray = field(default_factory=bytearray)
    times: list[float] = field(default_factory=list)

    def take(self, some: bytes) -> None:
        """Some of the stream has come."""
        self.received += some
        if _EVENT in some:
            self.times.append(time.perf_counter())

    def longest_gap(self) -> float:
        """Seconds between events at most."""
        pairs = itertools.pairwise(self.times)
        return max((later - earlier for earlier, later in pairs), default=0.0)

    def last_event(self) -> dict[str, Any]:
        """The JSON of the last event.

        Raises:
            RuntimeError: There is none; says what came instead.
        """
        begin = self.received.rfind(_EVENT)
        if begin < 0:
            raise RuntimeError(f"no stream: {bytes(self.received[:200])!r}")
        line = self.received[begin + len(_EVENT) - 1 :].partition(b"\n")[0]
        event: dict[str, Any] = json.loads(line)
        return event


def read_streams(port: int, path: str, bodies: Sequence[bytes]) -> list[Reading]:
    """Post these bodies at once, and read what is streamed back until all connections close."""
    readings = [Reading() for _ in bodies]
    with selectors.DefaultSelector() as selector:
        for body, reading in zip(bodies, readings, strict=True):
            connection = socket.create_connection(("127.0.0.1", port))
            selector.register(connection, selectors.EVENT_READ, reading)
            head = (
                f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            connection.sendall(head.encode() + body)
        while selector.get_map():
            for key, _ in selector.select():
                assert isinstance(key.fileobj, socket.socket)
                if some := key.fileobj.recv(1 << 16):
                    key.data.take(some)
                else:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
    return readings


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of another process so far; POSIX only."""
    clock = ctypes.c_int()
    if ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock)) != 0:
        raise RuntimeError(f"the CPU time of process {pid} can't be read")
    return time.clock_gettime(clock.value)


def thread_cpu_seconds(pid: int, thread: int) -> float | None:
    """CPU time of one thread of another process so far; None where the system does not tell."""
    try:
        text = Path(f"/proc/{pid}/task/{thread}/schedstat").read_text(encoding="ascii")
    except OSError:
        return None
    return int(text.split()[0]) / 1e9
