"""Running asyncio tasks in tests, and waiting for what they do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from .waiting import PATIENCE_S, wait_until

PROMPT = "the quick brown fox"
ENDLESS: Any = {"max_tokens": None, "temp": 0}


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(main, PATIENCE_S))


async def until(fact: Callable[[], object]) -> None:
    """Return as soon as the fact holds; the loop runs on meanwhile."""
    await asyncio.to_thread(wait_until, fact)


def wake_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "llmlocal-wake"]
