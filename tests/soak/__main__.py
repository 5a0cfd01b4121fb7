"""``python -m tests.soak``: see ``scripts/soak``."""

from __future__ import annotations

import argparse
import gc
import logging
import sys
import tempfile
import threading
import time
from pathlib import Path

from llmlocal import LLM

from ..tiny_models import MODELS
from .load import busy, open_and_close, resident_bytes

MEGABYTE = 1 << 20
_STORE = 32 * MEGABYTE  # of prefixes: full before memory is looked at


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("minutes", type=float, nargs="?", default=10)
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--opens", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        paths = [make().write(Path(folder) / f"{name}.gguf") for name, make in MODELS.items()]
        grown = _threads(paths[0], options.minutes * 60, options.threads, options.seed)
        grown += _opens(paths, options.opens, options.seed)
    left = [thread.name for thread in threading.enumerate()]
    _say(f"threads left: {left}")
    return int(grown > 0 or len(left) > 1)


def _threads(path: Path, seconds: float, threads: int, seed: int) -> int:
    with LLM(path, device="cpu", n_ctx=2048, prefix_cache_bytes=_STORE, progress=False) as llm:
        # What grows to its bounds does so at first: streams, prefixes, the allocator's arenas.
        busy(llm, threads, seconds / 5, seed)
        before = _settled()
        counts = busy(llm, threads, seconds * 4 / 5, seed + 1)
        after = _settled()
        stats = llm.stats()
    total = sum(counts.values())
    _say(f"{threads} threads, {total} requests in {seconds * 4 / 5:.0f} s: {dict(counts)}")
    _say(f"streams busy at the end: {stats.sequences_active}, waiting: {stats.waiting}")
    return _grown("while threads used it", before, after) + stats.sequences_active + stats.waiting


def _opens(paths: list[Path], times: int, seed: int) -> int:
    for path in paths:
        open_and_close(path, 50, seed)
    before = _settled()
    for path in paths:
        counts = open_and_close(path, times // len(paths), seed)
        _say(f"{path.stem}: {dict(counts)}")
    return _grown("while models were opened and closed", before, _settled())


def _settled() -> int:
    gc.collect()
    return resident_bytes()


def _grown(when: str, before: int, after: int) -> int:
    _say(f"memory {when}: {before / MEGABYTE:.1f} MB before, {after / MEGABYTE:.1f} MB after")
    return int(after > before * 1.1 + 20 * MEGABYTE)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
