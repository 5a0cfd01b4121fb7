"""The promise of the download, for any faults in any order.

Whatever the server and the disk do, there is the right file, or no file and the right error; and a clean
try afterwards completes it without fetching again what could be kept.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmlocal.errors import DownloadCancelledError, DownloadError
from llmlocal.models._catalog._card import Checks, HttpsSource
from llmlocal.models._disk._notes import read_origin
from llmlocal.models._download._fetch import Order, fetch
from llmlocal.models._download._partial import Partial
from llmlocal.models._http._retry import Policy
from llmlocal.models._names._places import Slot

from .gguf_bytes import small_model
from .hub import Fault, Server, digest

MODEL = small_model(20_000)
OTHER = small_model(20_000, seed=2)
SHORTER = MODEL[:-7]
LONGER = MODEL + b"more"
SIZE = len(MODEL)
IMPATIENT = Policy(
    max_failures=3,
    max_first_failures=3,
    first_delay_s=0.0,
    max_delay_s=0.0,
    connect_timeout_s=5.0,
    stall_timeout_s=0.1,
    tick_s=0.01,
)


class Disk:
    """The part's file on a disk with so much room; None for enough."""

    def __init__(self, room: int | None) -> None:
        self.room = room
        self.file: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, data: memoryview) -> int:
        if self.room is None:
            return int(self.file.write(data))
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = int(self.file.write(data[: self.room]))
        self.room -= count
        return count


@pytest.fixture(scope="module")
def disk() -> Iterator[Disk]:
    """Stands between every partial file and the real disk."""
    disk = Disk(None)
    opened = Partial._opened

    def through(partial: Partial) -> Any:
        disk.file = opened(partial)
        return disk

    with mock.patch.object(Partial, "_opened", through):
        yield disk


class Body(bytes):
    """Bytes that a failing example can be read with."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes beginning with {self[:12]!r}>"


lengths = st.integers(0, SIZE - 1)
breaks = st.one_of(
    st.builds(Fault, cut_after=lengths),
    st.builds(Fault, cut_after=lengths),
    st.builds(Fault, stall_after=lengths),
    st.builds(Fault, cut_after=lengths, ignore_range=st.just(True)),
    st.builds(Fault, cut_after=lengths, shift_range=st.integers(1, 50)),
    st.builds(Fault, status=st.sampled_from([408, 429, 500, 502, 503])),
    st.builds(Fault, status=st.sampled_from([401, 403, 404, 410, 418])),
    st.builds(Fault, encode=st.just(True), cut_after=st.integers(0, 500)),
    st.builds(Fault, drop_length=st.just(True), cut_after=lengths),
    st.builds(Fault, body=st.just(Body(OTHER)), cut_after=lengths),
    st.builds(Fault, body=st.just(b"<html>please log in</html>")),
    st.builds(Fault, body=st.just(Body(SIZE))),
    st.builds(Fault, body=st.just(Body(SHORTER))),
    st.builds(Fault, body=st.just(Body(LONGER)), drop_length=st.booleans()),
)
promises = st.sampled_from(
    [Checks(), Checks(size=SIZE), Checks(sha256=digest(MODEL)), Checks(SIZE, digest(MODEL))]
)


@pytest.fixture(scope="module")
def quiet_server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def attempt(server: Server, slot: Slot, checks: Checks, cancel_after: int | None, tag: str) -> str:
    """One try of a user: what it ended in.  The tag tells its requests from those before."""
    calls = 0
    # A busy machine may make a good server look silent; that is not what the clean try is about.
    policy = replace(IMPATIENT, stall_timeout_s=10.0) if tag == "clean" else IMPATIENT

    def report(_stage: str, _done: int, _total: int | None) -> None:
        nonlocal calls
        calls += 1
        if calls == cancel_after:
            message = "stop"
            raise DownloadCancelledError(message)

    order = Order(slot, [HttpsSource(f"{server.url}/model.gguf?{tag}")], checks, policy=policy)
    try:
        fetch(order, report, slot.target.exists)
    except DownloadError as exc:
        return type(exc).__name__
    return "complete"


def ranges_for(kept: int) -> list[str | None]:
    """What a clean try asks for that fetches no byte twice."""
    if kept == SIZE:
        return []
    return [f"bytes={kept}-" if kept else None]


@given(
    tries=st.lists(
        st.tuples(
            st.lists(breaks, max_size=5),
            st.one_of(st.none(), st.integers(1, 6)),
            st.one_of(st.none(), st.none(), st.integers(0, SIZE)),
        ),
        min_size=1,
        max_size=3,
    ),
    checks=promises,
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_faults_end_in_the_right_file_or_in_an_error(
    quiet_server: Server,
    disk: Disk,
    tries: list[tuple[list[Fault], int | None, int | None]],
    checks: Checks,
) -> None:
    server = quiet_server
    server.files["/model.gguf"] = MODEL
    with tempfile.TemporaryDirectory() as folder:
        slot = Slot(Path(folder), "model.gguf")
        for faults, cancel_after, disk.room in tries:
            server.faults.extend(faults)
            outcome = attempt(server, slot, checks, cancel_after, "faulty")
            server.faults.clear()
            is_there = slot.target.exists()
            assert is_there == (outcome == "complete")
            if is_there:
                # Where nobody promised anything, any whole model of the server's is right.
                right = [MODEL] if checks.pin_content else [MODEL, OTHER, LONGER]
                assert slot.target.read_bytes() in right
                slot.target.unlink()

        disk.room = None
        kept = slot.part.read_bytes() if slot.part.exists() else b""
        origin = read_origin(slot)
        server.requests.clear()
        assert attempt(server, slot, checks, None, "clean") == "complete"
        assert slot.target.read_bytes() == MODEL
        assert not slot.part.exists()
        # A file of another size is another file, however it begins.
        is_of_model = origin is None or origin.total in (None, SIZE)
        if checks.pin_content and is_of_model and MODEL.startswith(kept):
            asked = [each.headers for each in server.requests if each.path.endswith("clean")]
            assert [each.get("range") for each in asked] == ranges_for(len(kept))
