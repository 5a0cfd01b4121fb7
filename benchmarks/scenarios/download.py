"""Fetching a model from loopback: downloaded, hashed and named, against curl."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.folders import ROOT
from benchmarks.measure import Contestant
from benchmarks.scenarios.scenario import Context, Metric, Scenario
from benchmarks.session import Session
from benchmarks.systems import OURS

__all__ = ["DOWNLOAD"]

_MEGABYTES = 1000
_QUICK_MEGABYTES = 100


@dataclass
class Source:
    """A file and the process that serves it; shared by all, ended by the last."""

    megabytes: int
    url: str = ""
    sha256: str = ""
    folder: Path = Path()
    _users: int = 0
    _server: subprocess.Popen[str] | None = None
    _home: tempfile.TemporaryDirectory[str] | None = None

    def start(self) -> None:
        """Write the file and serve it, unless somebody has."""
        self._users += 1
        if self._server is not None:
            return
        self._home = tempfile.TemporaryDirectory(prefix="llmlocal-bench-")
        self.folder = Path(self._home.name)
        path = self.folder / "source.bin"
        self.sha256 = _write_random(path, self.megabytes)
        self._server = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.file_server", str(path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._server.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._server.stdout.readline())}/model.gguf"

    def stop(self) -> None:
        """End it when nobody needs it any more."""
        self._users -= 1
        if self._users > 0 or self._server is None or self._home is None:
            return
        self._server.kill()
        self._server.wait()
        self._home.cleanup()
        self._server = None


@dataclass
class Curl:
    """What a user does by hand; a careful one computes the checksum too."""

    label: str
    source: Source
    hashes: bool
    system: str = "curl"
    version: str = ""
    _is_open: bool = field(default=False, init=False)

    def open(self) -> None:
        """Start the server."""
        self.source.start()
        self._is_open = True
        done = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True)
        self.version = done.stdout.split()[1]

    def measure(self, turn: int) -> dict[str, Any]:
        """Download it, and hash it if this one is careful."""
        del turn
        target = self.source.folder / "curl.bin"
        start = time.perf_counter()
        subprocess.run(
            ["curl", "--silent", "--fail", "--output", str(target), self.source.url], check=True
        )
        if self.hashes:
            subprocess.run(["sha256sum", str(target)], check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        target.unlink()
        return {"seconds": seconds}

    def pause(self) -> None:
        """Nothing runs."""

    def close(self) -> None:
        """Leave the server."""
        if self._is_open:
            self._is_open = False
            self.source.stop()


@dataclass
class Ours:
    """llmlocal's downloader, a new process each time, so that its memory starts from nothing."""

    source: Source
    label: str = OURS
    system: str = OURS
    version: str = ""
    _is_open: bool = field(default=False, init=False)

    def open(self) -> None:
        """Start the server."""
        self.source.start()
        self._is_open = True

    def measure(self, turn: int) -> dict[str, Any]:
        """Download it."""
        del turn
        command = [sys.executable, "-m", "benchmarks.adapters.download"]
        source = self.source
        with Session("download", command) as session:
            result = session.ask(
                "download", url=source.url, folder=str(source.folder), sha256=source.sha256
            )
        (source.folder / "model.gguf").unlink()
        return result

    def pause(self) -> None:
        """Nothing runs."""

    def close(self) -> None:
        """Leave the server."""
        if self._is_open:
            self._is_open = False
            self.source.stop()


def _download(context: Context) -> Sequence[Contestant]:
    source = Source(_QUICK_MEGABYTES if context.is_quick else _MEGABYTES)
    return [
        Ours(source),
        Curl("curl", source, hashes=False),
        Curl("curl, then sha256sum", source, hashes=True),
    ]


def _write_random(path: Path, megabytes: int) -> str:
    """Write a file that does not compress; return its SHA-256."""
    random = np.random.default_rng(0)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(megabytes):
            piece = random.bytes(1_000_000)
            file.write(piece)
            digest.update(piece)
    return digest.hexdigest()


DOWNLOAD = Scenario(
    "download",
    f"{_MEGABYTES:,} MB (in a quick run {_QUICK_MEGABYTES}) from loopback, downloaded, hashed and named",
    (Metric("seconds", "s", "lower"), Metric("grown_bytes", "bytes", "lower")),
    _download,
    rounds=(5, 3),
)
