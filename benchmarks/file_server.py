"""A process that serves one file on loopback: ``python -m benchmarks.file_server FILE``.

It prints its port and sends with ``sendfile``, so that it is never what is measured.
"""

from __future__ import annotations

import http.server
import sys
from pathlib import Path
from typing import Any

__all__ = ["serve"]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    source: Path

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Send it all."""
        self.send_response(200)
        self.send_header("Content-Length", str(self.source.stat().st_size))
        self.send_header("ETag", '"bench"')
        self.end_headers()
        self.wfile.flush()
        with self.source.open("rb") as file:
            self.connection.sendfile(file)


def serve(source: Path) -> None:
    """Serve until the process is ended."""
    handler = type("BoundHandler", (_Handler,), {"source": source})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
