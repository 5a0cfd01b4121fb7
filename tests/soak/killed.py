"""``python -m tests.soak.killed [KILLS]``: processes that are killed while they keep prefixes.

Pairs of those of ``tests.soak.folder`` work on one folder, check every answer, and get a SIGKILL at
a random moment.  Whatever that leaves behind, the next pair works with it.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from llmlocal._prefix_cache import listing

from ..tiny_models import MODELS


def main() -> int:
    """Kill them, and say what came of it; 1 if anything was wrong."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    source = random.Random(kills)
    ended_early = unreadable = files = 0
    with tempfile.TemporaryDirectory() as scratch:
        path = MODELS["llama"]().write(Path(scratch) / "tiny-llama.gguf")
        command = [sys.executable, "-m", "tests.soak.folder", "work", str(path), scratch]
        for first in range(0, kills, 2):
            workers = [subprocess.Popen([*command, str(seed), "60"]) for seed in (first, first + 1)]
            for worker in workers:
                try:
                    worker.wait(source.uniform(0.3, 1.3))
                except subprocess.TimeoutExpired:
                    worker.kill()
                ended_early += worker.wait() != -signal.SIGKILL
            left = listing(Path(scratch) / "prefixes")
            files = max(files, len(left))
            unreadable += sum(entry.tokens == 0 for entry in left)
    sys.stdout.write(
        f"{kills} killed, {ended_early} of them had failed before; "
        f"up to {files} files, {unreadable} unreadable\n"
    )
    return int(bool(ended_early or unreadable or not files))


if __name__ == "__main__":
    sys.exit(main())
