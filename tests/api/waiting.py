"""Waiting for what the engine does, where it has no event to wait on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from llmlocal import LLM

PATIENCE_S = 60.0  # Machines may be busy; a test that fails takes this long, others do not.


def wait_until(fact: Callable[[], object]) -> None:
    """Return as soon as the fact holds."""
    deadline = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not fact():
        assert time.monotonic() < deadline, "it never came true"
        pause.wait(0.001)


def assert_serves(llm: LLM) -> None:
    """Every stream is free, nobody waits, and the next request is served."""
    wait_until(lambda: llm.stats().sequences_active == 0)
    assert llm.stats().waiting == 0
    answer = llm.generate("hello", max_tokens=3)
    assert answer.finish_reason == "length"
    assert answer.usage.completion_tokens == 3
    assert llm.stats().sequences_active == 0
