"""Some seconds of the soak: careless threads leave nothing behind, and memory stays flat."""

from __future__ import annotations

import gc
import sys
import threading
from pathlib import Path
from typing import Any

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


def test_a_long_look_back_takes_no_memory(open_tiny: OpenTiny) -> None:
    """No text is longer than the context, however far back an option says to look."""
    llm = open_tiny(n_ctx=512)
    options: Any = {"temp": 1, "seed": 1, "max_tokens": 8, "dry_multiplier": 3.0, "dry_base": 2}
    within = llm.generate("a b a b a b", dry_last_n=512, **options)
    before = resident_bytes()
    beyond = llm.generate("a b a b a b", dry_last_n=2**27, **options)
    assert resident_bytes() < before + (40 << 20)
    assert beyond.tokens == within.tokens
