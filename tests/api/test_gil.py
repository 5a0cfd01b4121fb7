"""The interpreter's lock is free while a model loads, reads and writes."""

from __future__ import annotations

import threading
import time

import pytest

from llmlocal import LLM

from ..real_models import real_model

_TICK = 0.001
_LONGEST = 0.5  # Seconds; a held lock would show as the whole prompt, several of them.


class Ticker:
    """A thread that wants to run every millisecond, and measures how long it could not."""

    def __init__(self) -> None:
        self.largest_gap = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tick)

    def _tick(self) -> None:
        last = time.perf_counter()
        while not self._stop.wait(_TICK):
            now = time.perf_counter()
            self.largest_gap = max(self.largest_gap, now - last)
            last = now

    def __enter__(self) -> Ticker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.mark.real_model
def test_a_thread_goes_on_ticking() -> None:
    path = real_model("smollm2-135m-instruct")
    gaps = {}
    with Ticker() as ticker:
        llm = LLM(path, progress=False, n_threads=1)
    gaps["load"] = ticker.largest_gap
    with llm:
        with Ticker() as ticker:
            tokens = llm.tokenize("a word and another " * 5_000)
        gaps["tokenize"] = ticker.largest_gap
        with Ticker() as ticker:
            llm.generate(tokens[:700], max_tokens=1)
        gaps["prompt"] = ticker.largest_gap
        with Ticker() as ticker:
            llm.generate("Once upon a time", max_tokens=40, temp=0)
        gaps["answer"] = ticker.largest_gap
    print({name: f"{gap * 1000:.0f} ms" for name, gap in gaps.items()})  # noqa: T201 - the figures
    assert max(gaps.values()) < _LONGEST, gaps
