"""Everything at once on one model: threads and tasks that ask, stop, fail, and get their own texts."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from llmlocal import LLM, Completion, EngineClosedError

from ..conftest import OpenTiny
from .waiting import assert_serves, wait_until

N_THREADS = 12
N_LOOPS = 2
N_TASKS = 8
JOBS_EACH = 40

SHARED = "the quick brown fox jumps over the lazy dog while it counts one two three four five "
PROMPTS = [
    *(f"{SHARED * times}{word}" for times in (1, 4) for word in ("hello", "one", "fish", "sun")),
    *("hello", "the river", "x" * 90, "seven eight nine"),
]
GREEDY: Any = {"temp": 0, "max_tokens": 40}


class BoomError(Exception):
    """What a callback raises."""


class Request:
    """A prompt, the text that it has alone, and a place in it."""

    def __init__(self, prompt: str, alone: Completion, tokens: int) -> None:
        self.prompt = prompt
        self.alone = alone
        self.tokens = tokens

    def check(self, answer: Completion, *reasons: str) -> None:
        assert answer.finish_reason in reasons
        if answer.finish_reason == "length":
            assert answer == self.alone
        assert self.alone.startswith(answer.rstrip("\ufffd"))
        assert answer.tokens == self.alone.tokens[: len(answer.tokens)]


# --- What a thread does ---------------------------------------------------------------------------


def generate(llm: LLM, request: Request) -> None:
    request.check(llm.generate(request.prompt, **GREEDY), "length")


def generate_several(llm: LLM, request: Request) -> None:
    for answer in llm.generate([request.prompt] * 3, **GREEDY):
        request.check(answer, "length")


def stream(llm: LLM, request: Request) -> None:
    assert "".join(llm.generate(request.prompt, streaming=True, **GREEDY)) == request.alone


def leave(llm: LLM, request: Request) -> None:
    pieces = llm.generate(request.prompt, streaming=True, **GREEDY)
    some = "".join(itertools.islice(pieces, request.tokens))
    assert request.alone.startswith(some)


def cancel(llm: LLM, request: Request) -> None:
    with llm.generate(request.prompt, streaming=True, **GREEDY) as pieces:
        for _ in itertools.islice(pieces, request.tokens):
            pass
        pieces.cancel()
        request.check(pieces.result, "cancelled", "length")


def refuse(llm: LLM, request: Request) -> None:
    count = itertools.count(1)
    answer = llm.generate(
        request.prompt, callback=lambda *_: next(count) < request.tokens, **GREEDY
    )
    request.check(answer, "cancelled")
    assert len(answer.tokens) == request.tokens


def fail(llm: LLM, request: Request) -> None:
    count = itertools.count(1)

    def callback(*_: object) -> bool:
        if next(count) == request.tokens:
            raise BoomError
        return True

    with pytest.raises(BoomError):
        llm.generate(request.prompt, callback=callback, **GREEDY)


def be_late(llm: LLM, request: Request) -> None:
    answer = llm.generate(request.prompt, timeout=request.tokens / 1000, **GREEDY)
    request.check(answer, "timeout", "length")


IN_THREADS = [generate, generate_several, stream, leave, cancel, refuse, fail, be_late]


# --- What a task does -----------------------------------------------------------------------------


async def agenerate(llm: LLM, request: Request) -> None:
    request.check(await llm.agenerate(request.prompt, **GREEDY), "length")


async def astream(llm: LLM, request: Request) -> None:
    assert "".join([each async for each in llm.astream(request.prompt, **GREEDY)]) == request.alone


async def aleave(llm: LLM, request: Request) -> None:
    pieces = llm.astream(request.prompt, **GREEDY)
    async with aclosing(pieces):
        async for _ in pieces:
            if len(pieces.text) > request.tokens:
                break
    assert request.alone.startswith(pieces.text.rstrip("\ufffd"))


async def acancel(llm: LLM, request: Request) -> None:
    task = asyncio.create_task(llm.agenerate(request.prompt, temp=0, max_tokens=None))
    for _ in range(request.tokens):
        await asyncio.sleep(0)  # Somewhere between its start and its first tokens.
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def afail(llm: LLM, request: Request) -> None:
    def callback(*_: object) -> bool:
        raise BoomError

    with pytest.raises(BoomError):
        await llm.agenerate(request.prompt, callback=callback, **GREEDY)


IN_TASKS = [agenerate, astream, aleave, acancel, afail]


# --- All of them ----------------------------------------------------------------------------------


def draw(seed: int, alone: list[Completion]) -> Iterator[tuple[random.Random, Request]]:
    dice = random.Random(seed)
    for _ in range(JOBS_EACH):
        place = dice.randrange(len(PROMPTS))
        yield dice, Request(PROMPTS[place], alone[place], dice.randint(1, 30))


def work(llm: LLM, seed: int, alone: list[Completion]) -> None:
    for dice, request in draw(seed, alone):
        job: Callable[[LLM, Request], None] = dice.choice(IN_THREADS)
        job(llm, request)


async def work_in_task(llm: LLM, seed: int, alone: list[Completion]) -> None:
    for dice, request in draw(seed, alone):
        job: Callable[[LLM, Request], Awaitable[None]] = dice.choice(IN_TASKS)
        await job(llm, request)


async def work_in_tasks(llm: LLM, seed: int, alone: list[Completion]) -> None:
    await asyncio.gather(
        *(work_in_task(llm, seed * 1000 + number, alone) for number in range(N_TASKS))
    )


def run_until_closed(llm: LLM, seed: int) -> None:
    with pytest.raises(EngineClosedError, match="the model was closed"):
        llm.generate(PROMPTS[seed % len(PROMPTS)], temp=0, max_tokens=None)


async def run_tasks_until_closed(llm: LLM) -> None:
    answers = await asyncio.gather(
        *(llm.agenerate(prompt, temp=0, max_tokens=None) for prompt in PROMPTS),
        return_exceptions=True,
    )
    assert {type(answer) for answer in answers} == {EngineClosedError}


def threads() -> int:
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.exists() else threading.active_count()


def ask_alone(open_tiny: OpenTiny, prompt: str) -> Completion:
    with open_tiny(n_parallel=1) as llm:
        answer: Completion = llm.generate(prompt, **GREEDY)
        return answer


def test_everything_at_once(open_tiny: OpenTiny) -> None:
    alone = [ask_alone(open_tiny, prompt) for prompt in PROMPTS]
    before = threads()
    llm = open_tiny(n_ctx=50_000, n_parallel=4)
    with ThreadPoolExecutor(N_THREADS + N_LOOPS) as pool:
        asked = [pool.submit(work, llm, seed, alone) for seed in range(N_THREADS)]
        asked += [
            pool.submit(asyncio.run, work_in_tasks(llm, seed, alone)) for seed in range(N_LOOPS)
        ]
        for each in asked:
            each.result()
        assert_serves(llm)

        asked = [pool.submit(run_until_closed, llm, seed) for seed in range(N_THREADS)]
        asked += [pool.submit(asyncio.run, run_tasks_until_closed(llm)) for _ in range(N_LOOPS)]
        running = N_THREADS + N_LOOPS * len(PROMPTS)
        wait_until(lambda: llm.stats().sequences_active + llm.stats().waiting == running)
        llm.close()
        for each in asked:
            each.result()
    assert (llm.stats().sequences_active, llm.stats().waiting) == (0, 0)
    wait_until(lambda: threads() == before)
