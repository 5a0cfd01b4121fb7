"""``python -m tests.soak.texts [COUNT]``: memory while a million texts become vectors."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from llmlocal import Embedder

from ..embeddings import tiny_bert
from .load import resident_bytes

MOST_GROWTH = 4 << 20  # Bytes, from a tenth of the texts on.


def main() -> int:
    """Say how memory went; 1 if it grew."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = tiny_bert.embedder().write(Path(folder) / "tiny.gguf", kind="f32")
        with Embedder(path, device="cpu", n_threads=1, progress=False) as embedder:
            start = time.perf_counter()
            sizes = [resident_bytes()]
            for number, _ in enumerate(embedder.embed_each(_texts(count)), 1):
                if number % (count // 10) == 0:
                    sizes.append(resident_bytes())
                    _say(f"{number:>9} texts: {sizes[-1] / 1e6:.1f} MB")
            seconds = time.perf_counter() - start
    grown = max(sizes[2:]) - sizes[1]
    _say(f"{count / seconds:.0f} texts/s; {grown / 1e6:+.1f} MB from a tenth of them on")
    return int(grown > MOST_GROWTH)


def _texts(count: int) -> Iterator[str]:
    for number in range(count):
        yield "bread " * (1 + number % 7)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
