"""Some seconds of the soak: careless threads leave nothing behind, and memory stays flat."""

from __future__ import annotations

import gc
import sys
import threading
from pathlib import Path

import pytest

from ..conftest import OpenTiny, TinyPath

if sys.platform != "win32":
    from ..soak.load import busy, open_and_close, resident_bytes

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="memory is told on POSIX systems")


def test_careless_threads(open_tiny: OpenTiny) -> None:
    llm = open_tiny(n_ctx=2048)
    counts = busy(llm, threads=16, seconds=6, seed=1)
    assert counts["not refused"] == 0
    assert {"left", "dropped", "callback raised", "refused"} <= set(counts)
    stats = llm.stats()
    assert (stats.sequences_active, stats.waiting) == (0, 0)


def test_opened_and_closed_again_and_again(tiny_path: TinyPath) -> None:
    path = Path(tiny_path("llama"))
    threads = threading.active_count()
    open_and_close(path, 20, seed=1)
    gc.collect()
    before = resident_bytes()
    assert open_and_close(path, 60, seed=2)["opened"] == 60
    gc.collect()
    assert resident_bytes() < before + (40 << 20)
    assert threading.active_count() <= threads
