"""A local server that behaves like the model hub and what stands behind it, with faults on order.

The hub answers for a file with a redirect that carries its size and digest; a second server, on
another port and so of another origin, has the bytes.  Either can be told to misbehave, once for
each fault in its list.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

BLOCK = 64 * 1024
PATIENCE_S = 20.0


@dataclass
class Fault:
    """How one request goes wrong.

    Attributes:
        status: Answer with this status and no file.
        headers: Further headers of the answer.
        cut_after: Send so many bytes of the body, then break the connection.
        stall_after: Send so many bytes of the body, then fall silent.
        ignore_range: Answer with the whole file, whatever was asked for.
        shift_range: Answer with a range that begins so many bytes later than asked for.
        body: Answer with these bytes instead of the file's.
        encode: Compress the body.
        drop_length: Say nothing of the length.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    stall_after: int | None = None
    ignore_range: bool = False
    shift_range: int = 0
    body: bytes | None = None
    encode: bool = False
    drop_length: bool = False


@dataclass(frozen=True)
class Request:
    """One request as it arrived; headers by lower-case name."""

    path: str
    headers: Mapping[str, str]


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that hung up between two requests, as those here do."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Server:
    """An HTTP server on loopback, on a thread of its own."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: deque[Fault] = deque()
        self.always: Fault | None = None
        self.requests: list[Request] = []
        self.routes: list[tuple[re.Pattern[str], Callable[[Handler], None]]] = []
        self.etag: Callable[[bytes], str | None] = lambda body: f'"{digest(body)[:32]}"'
        self.bytes_sent = 0
        self.silence = threading.Event()
        self._lock = threading.Lock()
        self._first_counted = 0
        self._server = _QuietServer(("127.0.0.1", 0), _handler_for(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.silence.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def took(self, request: Request) -> tuple[int, Fault]:
        """The request's number, and what is to go wrong with it."""
        with self._lock:
            self.requests.append(request)
            fault = self.faults.popleft() if self.faults else self.always or Fault()
            return len(self.requests) - 1, fault

    def sent(self, number: int, count: int) -> None:
        with self._lock:
            if number >= self._first_counted:
                self.bytes_sent += count

    def count_anew(self) -> None:
        """Count only what later requests get; an earlier one may still be being answered."""
        with self._lock:
            self.bytes_sent = 0
            self._first_counted = len(self.requests)


class Handler(BaseHTTPRequestHandler):
    """Serves files with ranges and ETags; misbehaves as ordered."""

    protocol_version = "HTTP/1.1"
    owner: Server
    number: int
    fault: Fault

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.number, self.fault = self.owner.took(Request(self.path, headers))
        try:
            self._answer()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _answer(self) -> None:
        path = urlsplit(self.path).path
        if self.fault.status is not None:
            self.reply(self.fault.status, self.fault.headers, b"an error page")
            return
        for pattern, serve in self.owner.routes:
            if pattern.fullmatch(path):
                serve(self)
                return
        if path not in self.owner.files:
            self.reply(404, {}, b"no such file")
            return
        self._serve_file(self.owner.files[path])

    def reply(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _serve_file(self, whole: bytes) -> None:
        fault = self.fault
        if fault.body is not None:
            whole = fault.body
        etag = self.owner.etag(whole)
        asked = self._range(etag)
        if asked is not None and asked[0] >= len(whole):
            self.reply(416, {"Content-Range": f"bytes */{len(whole)}"}, b"")
            return
        headers = dict(fault.headers)
        if etag is not None:
            headers.setdefault("ETag", etag)
        status, body = 200, whole
        if asked is not None:
            start, end = asked[0] + fault.shift_range, min(asked[1], len(whole))
            status, body = 206, whole[start:end]
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(whole)}"
        if fault.encode:
            body = gzip.compress(body)
            headers["Content-Encoding"] = "gzip"
        self._send(status, headers, body)

    def _range(self, etag: str | None) -> tuple[int, int] | None:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not match or self.fault.ignore_range:
            return None
        if self.headers.get("If-Range") not in {None, etag}:
            return None
        return int(match[1]), int(match[2]) + 1 if match[2] else 1 << 60

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        fault = self.fault
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if fault.drop_length:
            self.close_connection = True
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        limits = [limit for limit in (fault.cut_after, fault.stall_after) if limit is not None]
        for piece in _pieces(body[: limits[0]] if limits else body):
            self.owner.sent(self.number, len(piece))  # Before its reader can have it.
            self.wfile.write(piece)
        if fault.stall_after is not None:
            self.owner.silence.wait(PATIENCE_S)
        if limits:
            self.close_connection = True


def _pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), BLOCK):
        yield body[start : start + BLOCK]


def _handler_for(server: Server) -> type[Handler]:
    return type("BoundHandler", (Handler,), {"owner": server})


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


class Hub:
    """The hub and the server that has its bytes."""

    def __init__(self) -> None:
        self.front = Server()
        self.back = Server()
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.token: str | None = None
        self.page_size = 1000
        self.front.routes = [
            (re.compile(r"/[^/]+/[^/]+/resolve/[^/]+/.+"), self._resolve),
            (re.compile(r"/api/models/[^/]+/[^/]+/tree/[^/]+"), self._tree),
        ]

    @property
    def url(self) -> str:
        return self.front.url

    def add(self, repository: str, name: str, body: bytes) -> str:
        """Publish a file; returns its URL."""
        self.repositories.setdefault(repository, {})[name] = body
        self.back.files[f"/blobs/{digest(body)}"] = body
        return f"{self.url}/{repository}/resolve/main/{name}"

    def close(self) -> None:
        self.front.close()
        self.back.close()

    def _resolve(self, handler: Handler) -> None:
        owner, name, _, _, path = urlsplit(handler.path).path[1:].split("/", 4)
        if self._is_denied(handler):
            return
        files = self.repositories.get(f"{owner}/{name}")
        if files is None or path not in files:
            code = "RepoNotFound" if files is None else "EntryNotFound"
            handler.reply(401 if files is None else 404, {"X-Error-Code": code}, b"")
            return
        body = files[path]
        headers = {
            "Location": f"{self.back.url}/blobs/{digest(body)}?signature=secret",
            "X-Linked-Size": str(len(body)),
            "X-Linked-ETag": f'"{digest(body)}"',
        }
        handler.reply(302, headers, b"")

    def _tree(self, handler: Handler) -> None:
        parts = urlsplit(handler.path)
        _, _, owner, name, *_ = parts.path[1:].split("/")
        if self._is_denied(handler):
            return
        files = self.repositories.get(f"{owner}/{name}")
        if files is None:
            handler.reply(401, {"X-Error-Code": "RepoNotFound"}, b"")
            return
        start = int(parse_qs(parts.query).get("cursor", ["0"])[0])
        names = list(files)[start : start + self.page_size]
        headers = {}
        if start + self.page_size < len(files):
            following = f"{self.url}{parts.path}?recursive=true&cursor={start + self.page_size}"
            headers["Link"] = f'<{following}>; rel="next"'
        listing = [
            {
                "type": "file",
                "path": name,
                "size": len(files[name]),
                "lfs": {"oid": digest(files[name]), "size": len(files[name])},
            }
            for name in names
        ]
        handler.reply(200, headers, json.dumps(listing).encode())

    def _is_denied(self, handler: Handler) -> bool:
        if self.token is None or handler.headers.get("Authorization") == f"Bearer {self.token}":
            return False
        handler.reply(401, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Gated"}, b"")
        return True


@contextmanager
def running_hub() -> Iterator[Hub]:
    hub = Hub()
    try:
        yield hub
    finally:
        hub.close()
