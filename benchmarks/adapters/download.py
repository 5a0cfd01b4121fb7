"""llmlocal's downloader, in a process of its own, so that its memory can be told."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import Any

from benchmarks.adapters.adapter import Adapter
from benchmarks.adapters.serve import serve


class Downloader(Adapter):
    """Fetches one URL, hashes it and gives it its name."""

    def measure_download(self, url: str, folder: str, sha256: str) -> dict[str, Any]:
        """Seconds, and how far the process's memory grew."""
        import httpx  # noqa: F401 - its import is not what is measured

        from llmlocal.models._catalog._card import Checks, HttpsSource
        from llmlocal.models._download._fetch import Order, fetch
        from llmlocal.models._names._places import Slot

        def report(_stage: str, _done: int, _total: int | None) -> None:
            return None

        order = Order(Slot(Path(folder), "model.gguf"), [HttpsSource(url)], Checks(sha256=sha256))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        fetch(order, report, lambda: False)
        seconds = time.perf_counter() - start
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        return {"seconds": seconds, "grown_bytes": grown * 1024}


if __name__ == "__main__":
    serve(Downloader())
