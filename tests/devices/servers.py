"""RPC servers on loopback: the real one, and scripted ones that misbehave."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

HELLO = 14
VERSION = (7, 0, 0)


class RpcServer:
    """``llmlocal rpc-server`` in a process of its own, until closed."""

    def __init__(self) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        options = ["--threads", "1", "--device", "cpu", "--port", str(self.port)]
        process = subprocess.Popen(
            [sys.executable, "-m", "llmlocal", "rpc-server", *options], stdout=subprocess.DEVNULL
        )
        while process.poll() is None:
            with suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", self.port), timeout=30).close()
                return process
        raise RuntimeError(f"it ended with {process.returncode}")

    def restart(self) -> None:
        self.process = self._start()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> RpcServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()


class ScriptedServer:
    """Accepts connections and does to each what it is told; for servers that are no good."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._answer = answer
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            with suppress(OSError):
                self._answer(connection)

    def __enter__(self) -> ScriptedServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for connection in self._connections:
            connection.close()


def read_request(connection: socket.socket) -> tuple[int, bytes]:
    command, size = struct.unpack("<BQ", _read(connection, 9))
    return command, _read(connection, size)


def reply(connection: socket.socket, payload: bytes) -> None:
    connection.sendall(struct.pack("<Q", len(payload)) + payload)


def greet(connection: socket.socket, version: tuple[int, int, int] = VERSION) -> None:
    command, _ = read_request(connection)
    assert command == HELLO
    reply(connection, bytes([*version, 0]) + bytes(24))


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionResetError
        data += part
    return data


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
