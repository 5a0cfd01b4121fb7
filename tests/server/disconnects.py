"""Many clients that go away when they like: what a server has left of it.

``python -m tests.server.disconnects 1000`` sends 1,000 requests from 64 clients to a server with a
tiny model in this process.  A third of them hang up: streams after a few pieces, the others after
up to 50 ms.  It says what still runs afterwards, and what memory the process had after each quarter.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from llmlocal import LLM, ModelPool

from ..soak.load import resident_bytes
from .conftest import Served, serving, tiny

__all__ = ["Left", "disconnect", "main"]

_MESSAGES = [{"role": "user", "content": "hello"}]


@dataclass
class Left:
    """What became of the requests.

    Attributes:
        outcomes: How many there were of each: a status code, or "hung up".
        running: Requests that the engine still had, long after the last client was gone.
        inside: Requests that the server still had.
        resident: Bytes of this process after each quarter, without those of the prefix cache, which
            has a limit of its own.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    running: int = 0
    inside: int = 0
    resident: list[int] = field(default_factory=list)


def disconnect(served: Served, llm: LLM, requests: int, clients: int) -> Left:
    """Send the requests, and see what is left of them."""
    left = Left()
    quarter = -(-requests // 4)
    with ThreadPoolExecutor(clients) as threads:
        for first in range(0, requests, quarter):
            numbers = range(first, min(first + quarter, requests))
            left.outcomes.update(threads.map(lambda i: _ask(served, i), numbers))
            left.resident.append(resident_bytes() - llm.stats().store_bytes)
    left.inside = _settled(lambda: served.service.gate.inside)
    left.running = _settled(lambda: _running(llm))
    return left


def _ask(served: Served, i: int) -> str:
    chance = random.Random(i)
    is_stream, leaves = i % 2 == 0, chance.random() < 1 / 3
    body: dict[str, Any] = {"messages": _MESSAGES, "stream": is_stream, "seed": i}
    body["max_tokens"] = 400 if leaves else chance.randrange(1, 40)
    limit = chance.uniform(0.0005, 0.05) if leaves and not is_stream else 60
    try:
        with (
            served.client() as client,
            client.stream("POST", "/v1/chat/completions", json=body, timeout=limit) as got,
        ):
            for n, _ in enumerate(got.iter_raw()):
                if leaves and n >= i % 5:
                    return "hung up"
            return str(got.status_code)
    except httpx.TimeoutException:
        return "hung up"


def _running(llm: LLM) -> int:
    stats = llm.stats()
    return stats.sequences_active + stats.waiting


def _settled(count: Callable[[], int]) -> int:
    """What it is in the end: 0 at once, or what it is after ten seconds."""
    deadline = time.monotonic() + 10
    while (n := count()) and time.monotonic() < deadline:
        time.sleep(0.005)
    return n


def main() -> int:
    """Send so many requests; the exit status says whether anything was left."""
    from ..tiny_models import llama

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("requests", nargs="?", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=64)
    options = parser.parse_args()
    from llmlocal.server import create_app

    with (
        tempfile.TemporaryDirectory() as folder,
        tiny(lambda _: llama().write(Path(folder) / "tiny.gguf")) as llm,
        serving(create_app(ModelPool({"m": llm}), max_requests=256)) as served,
    ):
        begun = time.monotonic()
        left = disconnect(served, llm, options.requests, options.clients)
        seconds = time.monotonic() - begun
    memory = ", ".join(f"{size / 1e6:.0f}" for size in left.resident)
    print(  # noqa: T201
        f"{options.requests} requests by {options.clients} clients in {seconds:.0f} s:"
        f" {dict(left.outcomes)}; left in the engine {left.running}, in the server {left.inside};"
        f" resident MB after each quarter {memory}"
    )
    return int(bool(left.running or left.inside))


if __name__ == "__main__":
    raise SystemExit(main())
