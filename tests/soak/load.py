"""Uses a model as many careless callers at once would, and counts what became of their requests."""

from __future__ import annotations

import resource
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from llmlocal import LLM, EngineClosedError, LLMLocalError

__all__ = ["busy", "open_and_close", "resident_bytes"]

Count = Counter[str]


def resident_bytes() -> int:
    """Memory that the process has now; its most so far where the system tells no more."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * resource.getpagesize()


class Abandoned(Exception):  # noqa: N818 - it is no error
    """Raised by a callback that wants no more."""


def _blocking(llm: LLM, random: Random) -> str:
    return llm.generate(_prompt(random), max_tokens=random.randrange(1, 60)).finish_reason


def _timeout(llm: LLM, random: Random) -> str:
    return llm.generate(_prompt(random), max_tokens=None, timeout=random.random() / 4).finish_reason


def _left_stream(llm: LLM, random: Random) -> str:
    with llm.generate(_prompt(random), max_tokens=None, streaming=True) as stream:
        for _ in range(random.randrange(1, 30)):
            if next(stream, None) is None:
                break
    return "left"


def _dropped_stream(llm: LLM, random: Random) -> str:
    next(llm.generate(_prompt(random), max_tokens=200, streaming=True))
    return "dropped"


def _raising_callback(llm: LLM, random: Random) -> str:
    left = random.randrange(1, 20)

    def callback(token: int, text: str) -> None:
        nonlocal left
        del token, text
        left -= 1
        if left == 0:
            raise Abandoned

    try:
        return llm.generate(_prompt(random), max_tokens=100, callback=callback).finish_reason
    except Abandoned:
        return "callback raised"


def _list(llm: LLM, random: Random) -> str:
    answers = llm.generate([_prompt(random) for _ in range(4)], max_tokens=8)
    return answers[0].finish_reason


def _wrong(llm: LLM, random: Random) -> str:
    wrong: list[Callable[[], object]] = [
        lambda: llm.generate("x" * 50_000, max_tokens=1),
        lambda: llm.generate("x", temp=-1),
        lambda: llm.generate([10**9]),
        lambda: llm.generate(""),
    ]
    try:
        random.choice(wrong)()
    except LLMLocalError:
        return "refused"
    return "not refused"


_WAYS = [_blocking, _timeout, _left_stream, _dropped_stream, _raising_callback, _list, _wrong]


def _prompt(random: Random) -> str:
    shared = "the quick brown fox jumps over the lazy dog. " * random.randrange(4)
    return shared + " ".join(str(random.randrange(100)) for _ in range(random.randrange(1, 40)))


def busy(llm: LLM, threads: int, seconds: float, seed: int) -> Count:
    """Have so many threads use the model for so long.

    Returns:
        How many requests ended how.

    Raises:
        Exception: What a thread failed with that it should not have.
    """
    counts: Count = Counter()
    failed: list[Exception] = []
    end = time.monotonic() + seconds

    def work(number: int) -> None:
        random = Random(f"{seed}-{number}")
        own: Count = Counter()
        try:
            while time.monotonic() < end and not failed:
                own[random.choice(_WAYS)(llm, random)] += 1
        except Exception as error:  # noqa: BLE001 - raised by the caller
            failed.append(error)
        counts.update(own)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(seconds + 120)
        if worker.is_alive():
            message = "a thread waits for ever"
            raise RuntimeError(message)
    if failed:
        raise failed[0]
    return counts


def open_and_close(path: Path, times: int, seed: int) -> Count:
    """Open a model again and again, and close it in the midst of its work."""
    counts: Count = Counter()
    random = Random(seed)
    for _ in range(times):
        llm = LLM(path, device="cpu", n_threads=1, n_ctx=256, progress=False)
        stream = llm.generate("the quick", max_tokens=None, streaming=True)
        for _ in range(random.randrange(3)):
            next(stream)
        if random.random() < 0.5:
            llm.close()
        try:
            del llm
            list(stream) if random.random() < 0.1 else stream.close()
        except EngineClosedError:
            counts["closed under a reader"] += 1
        counts["opened"] += 1
    return counts
