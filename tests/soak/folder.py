"""``python -m tests.soak.folder [SECONDS]``: two processes on one folder of evaluated prefixes.

Each opens and closes a tiny model, asks prompts that share beginnings, and checks every answer
against that of a model which keeps nothing.  Then all files are read once more.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from llmlocal import LLM
from llmlocal._prefix_cache import listing

from ..native.reference import Reference, tokens
from ..tiny_models import MODELS

MOST_BYTES = 1 << 20  # Few enough that files are removed all the time.


def main() -> int:
    """Start both, and say what came of it; 1 if anything was wrong."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    with tempfile.TemporaryDirectory() as scratch:
        path = MODELS["llama"]().write(Path(scratch) / "tiny-llama.gguf")
        command = [sys.executable, "-m", "tests.soak.folder", "work", str(path), scratch]
        workers = [
            subprocess.Popen([*command, str(seed), str(seconds)], text=True, stdout=subprocess.PIPE)
            for seed in (1, 2)
        ]
        for worker in workers:
            sys.stdout.write(worker.communicate()[0])
        left = listing(Path(scratch) / "prefixes")
        size = sum(entry.bytes for entry in left)
        unreadable = sum(entry.tokens == 0 for entry in left)
        _say(f"{len(left)} files left, {size / 1e6:.1f} MB, {unreadable} of them unreadable")
        is_wrong = any(worker.returncode for worker in workers) or unreadable or size > MOST_BYTES
    return int(bool(is_wrong))


def work(path: Path, folder: Path, seed: int, seconds: float) -> int:
    """Ask until the time is over."""
    source = random.Random(seed)
    end = time.monotonic() + seconds
    reference = Reference(lambda _: path)
    options: dict[str, Any] = {"device": "cpu", "n_ctx": 1024, "n_threads": 1, "progress": False}
    opened = answers = adopted = 0
    while time.monotonic() < end:
        options["prefix_cache_disk_bytes"] = MOST_BYTES
        with LLM(path, prefix_cache_path=folder / "prefixes", **options) as llm:
            opened += 1
            for _ in range(source.randint(1, 4)):
                shared = tokens(source.choice((100, 300, 600)), seed=source.randrange(8))
                prompt = [*shared, *tokens(20, seed=source.randrange(4))]
                answer = llm.generate(prompt, temp=0, max_tokens=8)
                reference.check("llama", prompt, answer.tokens)
                answers += 1
            adopted += llm.stats().disk_tokens
    _say(f"process {seed}: opened {opened} times, {answers} answers, {adopted} tokens from disk")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        sys.exit(work(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])))
    sys.exit(main())
