"""Asyncio: however a task or its loop ends, the engine stops, and serves the next one."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from llmlocal import LLM, AsyncStream, Completion

from ..conftest import OpenTiny
from .tasks import ENDLESS, PROMPT, run, until, wake_threads
from .waiting import PATIENCE_S, assert_serves, wait_until


@pytest.fixture
def llm(open_tiny: OpenTiny) -> LLM:
    """A model with room for a text that no test waits for the end of."""
    return open_tiny(n_ctx=100_000)


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_cancelling_a_task_in_decode(llm: LLM) -> None:
    async def main() -> None:
        task = asyncio.create_task(llm.agenerate(PROMPT, **ENDLESS))
        await until(lambda: llm.stats().completion_tokens)
        await cancelled(task)

    run(main())
    assert_serves(llm)


def test_cancelling_a_task_in_its_prompt(open_tiny: OpenTiny) -> None:
    llm = open_tiny(n_ctx=100_000, n_batch=32_768)

    async def main() -> None:
        task = asyncio.create_task(llm.agenerate([300] * 30_000, max_tokens=1))
        await until(lambda: llm.stats().sequences_active)
        await cancelled(task)

    run(main())
    wait_until(lambda: llm.stats().sequences_active == 0)
    assert llm.stats().prompt_tokens < 30_000  # The one long step was cut short.
    assert_serves(llm)


def test_cancelling_a_task_in_the_queue(open_tiny: OpenTiny) -> None:
    llm = open_tiny(n_ctx=100_000, n_parallel=1)

    async def main() -> None:
        async with llm.astream(PROMPT, **ENDLESS) as running:
            await anext(running)
            task = asyncio.create_task(llm.agenerate("hello", **ENDLESS))
            await until(lambda: llm.stats().waiting == 1)
            await cancelled(task)
            await until(lambda: llm.stats().waiting == 0)
            await anext(running)

    run(main())
    assert_serves(llm)


@pytest.fixture
def slow_tokenizer(llm: LLM, monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, ...]:
    """Two events: a text is being tokenized; it may go on."""
    begun, go_on = threading.Event(), threading.Event()

    def tokenize(_text: str) -> list[int]:
        begun.set()
        assert go_on.wait(PATIENCE_S)
        return [300]

    monkeypatch.setattr(llm, "tokenize", tokenize)
    return begun, go_on


def test_cancelling_a_task_that_still_tokenizes(
    llm: LLM, slow_tokenizer: tuple[threading.Event, ...]
) -> None:
    begun, go_on = slow_tokenizer

    async def main() -> None:
        task = asyncio.create_task(llm.agenerate(PROMPT, **ENDLESS))
        await asyncio.to_thread(begun.wait, PATIENCE_S)
        await cancelled(task)
        go_on.set()

    run(main())
    wait_until(lambda: llm.stats().requests == 1)
    assert_serves(llm)


def test_cancelling_a_stream_that_still_tokenizes(
    llm: LLM, slow_tokenizer: tuple[threading.Event, ...]
) -> None:
    begun, go_on = slow_tokenizer

    async def main() -> None:
        stream = llm.astream(PROMPT, **ENDLESS)
        result = asyncio.create_task(stream.result())
        await asyncio.to_thread(begun.wait, PATIENCE_S)
        stream.cancel()
        go_on.set()
        assert (await result).finish_reason == "cancelled"

    run(main())
    assert_serves(llm)


@pytest.mark.parametrize(
    "ask",
    [
        lambda llm: llm.agenerate(PROMPT, **ENDLESS),
        lambda llm: llm.astream(PROMPT, **ENDLESS).result(),
    ],
)
def test_a_time_limit_of_asyncio(
    ask: Callable[[LLM], Coroutine[Any, Any, Completion]], llm: LLM
) -> None:
    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ask(llm), 0.1)

    run(main())
    assert_serves(llm)


def test_a_time_limit_of_its_own(llm: LLM) -> None:
    answer = run(llm.agenerate(PROMPT, timeout=0.2, **ENDLESS))
    assert answer.finish_reason == "timeout"
    assert answer
    assert_serves(llm)


def test_breaking_out_of_the_loop(llm: LLM) -> None:
    async def main() -> None:
        async for piece in llm.astream(PROMPT, **ENDLESS):
            assert piece
            break
        await until(lambda: llm.stats().sequences_active == 0)

    run(main())
    assert_serves(llm)


def test_an_error_in_the_loop(llm: LLM) -> None:
    async def read_and_fail() -> None:
        async with llm.astream(PROMPT, **ENDLESS) as stream:
            async for piece in stream:
                raise OSError(f"can't use {piece}")

    async def main() -> None:
        with pytest.raises(OSError, match="can't use"):
            await read_and_fail()
        await until(lambda: llm.stats().sequences_active == 0)

    run(main())
    assert_serves(llm)


def test_leaving_the_with_block(llm: LLM) -> None:
    async def main() -> None:
        async with llm.astream(PROMPT, **ENDLESS) as stream:
            await anext(stream)
        assert (await stream.result()).finish_reason == "cancelled"

    run(main())
    assert_serves(llm)


async def close(stream: AsyncStream) -> None:
    await stream.aclose()
    await stream.aclose()


async def cancel(stream: AsyncStream) -> None:
    stream.cancel()


@pytest.mark.parametrize(("stop", "reads_on"), [(close, False), (cancel, True)])
def test_stopping_a_stream(
    stop: Callable[[AsyncStream], Awaitable[None]], *, reads_on: bool, llm: LLM
) -> None:
    async def main() -> None:
        stream = llm.astream(PROMPT, **ENDLESS)
        await anext(stream)
        taken = llm.stats().completion_tokens
        await until(lambda: llm.stats().completion_tokens > taken + 20)
        await stop(stream)
        rest = [piece async for piece in stream]
        assert bool(rest) == reads_on
        result = await stream.result()
        assert result.finish_reason == "cancelled"
        assert result.usage.completion_tokens > taken + 20

    run(main())
    assert_serves(llm)


def test_a_stream_that_is_closed_before_it_starts(llm: LLM) -> None:
    async def main() -> None:
        stream = llm.astream(PROMPT, **ENDLESS)
        await stream.aclose()
        assert [piece async for piece in stream] == []

    run(main())
    assert llm.stats().requests == 0


def test_a_stream_that_nobody_holds(llm: LLM) -> None:
    async def main() -> None:
        stream = llm.astream(PROMPT, **ENDLESS)
        await anext(stream)
        del stream
        await until(lambda: llm.stats().sequences_active == 0)

    run(main())
    assert_serves(llm)


def test_a_loop_that_ends_before_its_tasks(llm: LLM) -> None:
    async def main() -> asyncio.Task[Any]:
        task = asyncio.create_task(llm.agenerate(PROMPT, **ENDLESS))
        await until(lambda: llm.stats().completion_tokens)
        return task

    task = run(main())  # It cancels what is left over.
    assert task.cancelled()
    assert_serves(llm)


def test_a_loop_that_is_closed_under_its_tasks(llm: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.new_event_loop()
    wake, may_return = loop.call_soon_threadsafe, threading.Event()

    def wake_slowly(*args: Any) -> asyncio.Handle:
        handle = wake(*args)
        if threading.current_thread() in wake_threads():
            assert may_return.wait(PATIENCE_S)
        return handle

    # So the thread that wakes the task is in the middle of it when the loop is closed.
    monkeypatch.setattr(loop, "call_soon_threadsafe", wake_slowly)

    async def main() -> asyncio.Task[Any]:
        stream = llm.astream(PROMPT, **ENDLESS)
        task = asyncio.ensure_future(stream.result())
        await until(lambda: llm.stats().completion_tokens)
        return task

    task = loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    # Nobody can be woken any more, and nobody minds.
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # as asyncio.gather does
    del task
    gc.collect()
    assert_serves(llm)
    may_return.set()
    assert run(llm.agenerate(PROMPT, max_tokens=5)).finish_reason == "length"
