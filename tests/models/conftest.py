"""What the tests of the models part share: a hub, an empty home, and a clean environment."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from llmlocal.errors import DownloadCancelledError
from llmlocal.models._catalog._card import Checks, HttpsSource
from llmlocal.models._download._fetch import Order, fetch
from llmlocal.models._http._retry import Policy
from llmlocal.models._names._places import Slot
from llmlocal.models._report import Report

from .gguf_bytes import small_model
from .hub import Hub, Server, digest, running_hub

MODEL = small_model()

QUICK = Policy(
    max_failures=4,
    max_first_failures=2,
    first_delay_s=0.001,
    max_delay_s=0.002,
    max_retry_after_s=1.0,
    connect_timeout_s=5.0,
    stall_timeout_s=30.0,  # A busy machine is not a silent server.
    tick_s=0.01,
)
HASTY = replace(QUICK, stall_timeout_s=1.0)
"""For servers that are told to be silent."""

_FOREIGN_PREFIXES = ("LLMLOCAL_", "HF_", "HUGGING_FACE_", "OLLAMA_", "PIP_", "XDG_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def clean_environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine reaches a test, and no test the user's folders."""
    for name in list(os.environ):
        if name.startswith(_FOREIGN_PREFIXES) or name.lower() in _PROXIES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "user"))
    monkeypatch.setenv("LLMLOCAL_HOME", str(tmp_path / "home"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running_hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


@pytest.fixture
def server(hub: Hub) -> Server:
    """A plain file server."""
    return hub.back


@pytest.fixture
def slot(tmp_path: Path) -> Slot:
    return Slot(tmp_path / "models", "model.gguf")


Fetcher = Callable[..., Path]


@pytest.fixture
def fetch_file(slot: Slot) -> Fetcher:
    """Fetch a URL into the slot, quickly."""

    def run(
        *urls: str,
        checks: Checks | None = None,
        report: Report = lambda _stage, _done, _total: None,
        policy: Policy = QUICK,
        is_asked_for: bool = True,
    ) -> Path:
        sources = [HttpsSource(url) for url in urls]
        order = Order(slot, sources, checks or Checks(), is_asked_for, policy)
        return fetch(order, report, slot.target.exists)

    return run


def cancel_at(size: int) -> Report:
    """A report that stops once so many bytes have arrived."""

    def report(_stage: str, done: int, _total: int | None) -> None:
        if done == size:
            message = "stop"
            raise DownloadCancelledError(message)

    return report


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The models folder that the library uses unless it is told otherwise."""
    folder = tmp_path / "home" / "models"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def catalog_of(home: Path) -> None:
    """A catalog of the user's own with one model at no reachable place."""
    card = {
        "name": "tiny",
        "aliases": ["tiny-alias"],
        "filename": "Tiny.Q4_0.gguf",
        "size_bytes": len(MODEL),
        "sha256": digest(MODEL),
        "sources": [{"https": "https://models.invalid/Tiny.Q4_0.gguf"}],
    }
    (home.parent / "catalog.json").write_text(json.dumps({"version": 1, "models": [card]}))


def put(path: Path, body: bytes) -> Path:
    """Have a file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path
