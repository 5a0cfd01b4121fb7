"""How fast a model is downloaded from loopback, hashed and named, against curl.

    python benchmarks/bench_download.py [--megabytes 1000] [--runs 5] [--folder FOLDER]

The server is a process of its own that sends with ``sendfile``, so that it is never what is
measured.  Each run downloads with ``curl``, with ``curl`` and then ``sha256sum`` (what a careful
user does by hand), and with this library, in turn; medians are printed, and the memory that the
library's process took beyond its start.
"""

from __future__ import annotations

import argparse
import hashlib
import http.server
import json
import multiprocessing
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any


class Handler(http.server.BaseHTTPRequestHandler):
    """Sends the one file."""

    protocol_version = "HTTP/1.1"
    source: Path

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Send it all."""
        size = self.source.stat().st_size
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.send_header("ETag", '"bench"')
        self.end_headers()
        self.wfile.flush()
        with self.source.open("rb") as file:
            self.connection.sendfile(file)


def serve(source: Path, pipe: Connection) -> None:
    """Run the server; tell its port through the pipe."""
    handler = type("BoundHandler", (Handler,), {"source": source})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        pipe.send(server.server_port)
        server.serve_forever()


def fetch(url: str, folder: Path, sha256: str) -> dict[str, float]:
    """Download with the library; meant for a fresh process."""
    from llmlocal.models._card import Checks, HttpsSource
    from llmlocal.models._fetch import Order, fetch
    from llmlocal.models._slot import Slot

    def report(_stage: str, _done: int, _total: int | None) -> None:
        return None

    import httpx  # noqa: F401 - its import is not what is measured

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu_start = time.perf_counter(), time.process_time()
    order = Order(Slot(folder, "model.gguf"), [HttpsSource(url)], Checks(sha256=sha256))
    fetch(order, report, lambda: False)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu_start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"seconds": seconds, "cpu": cpu, "grown_mb": grown / 1000}


def timed(command: list[str]) -> tuple[float, float]:
    """Seconds that the command takes, and of the processor."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def write_file(path: Path, megabytes: int) -> str:
    """Write random bytes; return their SHA-256."""
    digest = hashlib.sha256()
    block = os.urandom(1_000_000)
    with path.open("wb") as file:
        for number in range(megabytes):
            piece = number.to_bytes(4, "little") + block[4:]
            file.write(piece)
            digest.update(piece)
    return digest.hexdigest()


def run_once(url: str, folder: Path, sha256: str) -> dict[str, tuple[float, float]]:
    """Each of the three ways once; what they leave is removed."""
    target = folder / "curl.bin"
    fetching = timed(["curl", "--silent", "--fail", "--output", str(target), url])
    hashing = timed(["sha256sum", str(target)])
    target.unlink()
    output = subprocess.run(
        [sys.executable, __file__, "--fetch", url, str(folder), sha256],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    fetched = json.loads(output)
    (folder / "model.gguf").unlink()
    return {
        "curl": fetching,
        "curl, then sha256sum": (fetching[0] + hashing[0], fetching[1] + hashing[1]),
        "llmlocal": (fetched["seconds"], fetched["cpu"]),
        "grown_mb": (fetched["grown_mb"], 0.0),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to download to (default: temporary)")
    parser.add_argument("--fetch", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fetch:
        url, folder, sha256 = options.fetch
        print(json.dumps(fetch(url, Path(folder), sha256)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        source = folder / "source.bin"
        sha256 = write_file(source, options.megabytes)
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.Process(target=serve, args=(source, theirs), daemon=True)
        process.start()
        url = f"http://127.0.0.1:{ours.recv()}/model.gguf"
        runs = [run_once(url, folder, sha256) for _ in range(options.runs)]
        process.terminate()
        process.join()
        free = shutil.disk_usage(folder).free
    print(
        f"{options.megabytes} MB from loopback, median of {options.runs}, {free / 1e9:.0f} GB free"
    )
    for key in ("curl", "curl, then sha256sum", "llmlocal"):
        seconds = statistics.median(run[key][0] for run in runs)
        cpu = statistics.median(run[key][1] for run in runs)
        rate = options.megabytes / seconds
        print(f"{key:22} {seconds:6.2f} s {rate:7.0f} MB/s {cpu:6.2f} s of the processor")
    grown = max(run["grown_mb"][0] for run in runs)
    print(f"memory grown by at most {grown:.1f} MB")


if __name__ == "__main__":
    main()
