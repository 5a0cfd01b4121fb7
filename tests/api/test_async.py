"""Asyncio: tasks wait without blocking the loop, and their cancellation reaches the engine."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from llmlocal import LLM, AsyncStream, Completion, EngineClosedError, EngineError, ParameterError

from ..conftest import OpenTiny
from .waiting import PATIENCE_S, assert_serves, wait_until

PROMPT = "the quick brown fox"
ENDLESS: Any = {"max_tokens": None, "temp": 0}


@pytest.fixture
def llm(open_tiny: OpenTiny) -> LLM:
    """A model with room for a text that no test waits for the end of."""
    return open_tiny(n_ctx=100_000)


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(main, PATIENCE_S))


async def until(fact: Callable[[], object]) -> None:
    """Return as soon as the fact holds; the loop runs on meanwhile."""
    await asyncio.to_thread(wait_until, fact)


def wake_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "llmlocal-wake"]


# --- What comes back ------------------------------------------------------------------------------


def test_agenerate_returns_what_generate_does(open_tiny: OpenTiny) -> None:
    expected = open_tiny().generate(PROMPT, max_tokens=50, temp=0)
    answer = run(open_tiny().agenerate(PROMPT, max_tokens=50, temp=0))
    assert isinstance(answer, Completion)
    assert answer == expected
    assert (answer.tokens, answer.usage) == (expected.tokens, expected.usage)


def test_joined_astream_is_what_generate_returns(open_tiny: OpenTiny) -> None:
    async def main() -> None:
        stream = open_tiny().astream(PROMPT, max_tokens=50, temp=0)
        pieces = [piece async for piece in stream]
        assert all(pieces)
        assert "".join(pieces) == stream.text == await stream.result() == expected

    expected = open_tiny().generate(PROMPT, max_tokens=50, temp=0)
    run(main())


def test_a_stream_starts_with_its_first_piece(llm: LLM) -> None:
    async def main() -> None:
        stream = llm.astream(PROMPT, **ENDLESS)
        assert stream.text == ""
        assert llm.stats().requests == 0
        first = await anext(stream)
        assert stream.text.startswith(first)
        assert llm.stats().sequences_active == 1

    run(main())


def test_the_result_of_a_stream_that_nobody_read(tiny_llm: LLM) -> None:
    async def main() -> None:
        stream = tiny_llm.astream(PROMPT, max_tokens=20)
        result = await stream.result()
        assert result.usage.completion_tokens == 20
        assert "".join([piece async for piece in stream]) == result

    run(main())


def test_the_loop_turns_while_tokens_are_made(llm: LLM) -> None:
    async def main() -> None:
        task = asyncio.create_task(llm.agenerate(PROMPT, **ENDLESS))
        await until(lambda: llm.stats().sequences_active)
        before = llm.stats().completion_tokens
        turns = 0
        while llm.stats().completion_tokens < before + 200:
            await asyncio.sleep(0)
            turns += 1
        assert turns > 20
        task.cancel()

    run(main())


@pytest.mark.parametrize(
    "ask", [lambda llm: llm.agenerate("", temp=0), lambda llm: anext(llm.astream("", temp=0))]
)
def test_a_refused_request_raises_where_it_is_awaited(
    ask: Callable[[LLM], Awaitable[str]], tiny_llm: LLM
) -> None:
    async def main() -> None:
        with pytest.raises(ParameterError, match="prompt must not be empty"):
            await ask(tiny_llm)

    run(main())


# --- Many -----------------------------------------------------------------------------------------


def test_many_tasks_at_once_get_their_own_answers(open_tiny: OpenTiny) -> None:
    llm = open_tiny(n_parallel=4)

    async def ask(caller: int) -> None:
        only: Any = {"logit_bias": {300 + caller: 1000.0}}
        answer = await llm.agenerate([300 + caller] * (1 + caller), max_tokens=10, **only)
        assert answer.tokens == (300 + caller,) * 10
        assert answer.usage.prompt_tokens == 1 + caller

    async def main() -> None:
        await asyncio.gather(*(ask(caller) for caller in range(100)))

    run(main())
    stats = llm.stats()
    assert (stats.requests, stats.sequences_active, stats.waiting) == (100, 0, 0)
    assert stats.steps < 100 * 10 / 2  # They did run together.
    assert len(wake_threads()) == 1


def test_streams_in_turn(llm: LLM) -> None:
    async def main() -> None:
        biases = [{300 + speaker: 1000.0} for speaker in range(3)]
        streams = [llm.astream(PROMPT, logit_bias=bias, **ENDLESS) for bias in biases]
        taken = [[await anext(stream) for stream in streams] for _ in range(30)]
        assert len(set(map(tuple, taken))) == 1
        assert len(set(taken[0])) == 3
        assert llm.stats().sequences_active == 3

    run(main())


def test_loops_in_several_threads(tiny_llm: LLM) -> None:
    def ask(caller: int) -> Any:
        return run(tiny_llm.agenerate(PROMPT, max_tokens=5 + caller))

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(ask, range(4)))
    assert [answer.usage.completion_tokens for answer in answers] == [5, 6, 7, 8]


def test_one_loop_after_the_other(tiny_llm: LLM) -> None:
    for _ in range(2):
        assert run(tiny_llm.agenerate(PROMPT, max_tokens=5)).finish_reason == "length"


# --- The end --------------------------------------------------------------------------------------


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


# --- The model is closed --------------------------------------------------------------------------


def test_closing_the_model_wakes_every_task(open_tiny: OpenTiny) -> None:
    llm = open_tiny(n_ctx=100_000, n_parallel=2)

    async def main() -> None:
        tasks = [asyncio.create_task(llm.agenerate(PROMPT, **ENDLESS)) for _ in range(6)]
        await until(lambda: llm.stats().waiting == 4)
        llm.close()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(outcome, EngineClosedError)

    run(main())


def test_a_stream_says_why_it_ended_after_its_text(llm: LLM) -> None:
    seen: list[str] = []

    async def main() -> None:
        stream = llm.astream(PROMPT, **ENDLESS)
        seen.append(await anext(stream))
        llm.close()
        with pytest.raises(EngineClosedError, match="the model was closed"):
            seen.extend([piece async for piece in stream])
        with pytest.raises(EngineClosedError, match="the model was closed"):
            await anext(stream)
        with pytest.raises(EngineClosedError, match="the model was closed"):
            await stream.result()

    run(main())


def test_closing_the_model_ends_its_wake_thread(llm: LLM) -> None:
    run(llm.agenerate(PROMPT, max_tokens=1))
    (thread,) = wake_threads()
    llm.close()
    assert not thread.is_alive()


def test_a_wake_thread_that_can_not_start(llm: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error for who asked then; the next request has the thread."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "llmlocal-wake":
            raise RuntimeError("can't start new thread")
        start(thread)

    async def main() -> None:
        with monkeypatch.context() as scarce:
            scarce.setattr(threading.Thread, "start", refuse)
            for _ in range(2):
                with pytest.raises(EngineError, match=r"can't be started .*can't start new thread"):
                    await asyncio.wait_for(llm.agenerate(PROMPT, max_tokens=1), PATIENCE_S)
        assert len((await llm.agenerate(PROMPT, max_tokens=2)).tokens) == 2

    run(main())
    assert llm.stats().sequences_active == 0


def test_closing_a_model_whose_wake_thread_never_started(
    llm: LLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    waker = llm._generator.waker

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("none")

    monkeypatch.setattr(threading.Thread, "start", refuse)

    async def main() -> None:
        request = llm._submit([PROMPT], None, {})[0].request
        with pytest.raises(EngineError, match="none"):
            waker.watch(request, until_end=True)

    run(main())
    llm.close()
    assert llm.closed


def test_a_request_that_is_watched_after_the_end(llm: LLM) -> None:
    async def main() -> None:
        stream = llm.astream(PROMPT, **ENDLESS)
        await asyncio.to_thread(stream._begin)
        llm.close()
        with pytest.raises(EngineClosedError, match="the model was closed"):
            await stream.result()

    run(main())
    assert wake_threads() == []


def test_a_model_that_nobody_holds_ends_its_wake_thread(open_tiny: OpenTiny) -> None:
    path = open_tiny().path
    llm = LLM(path, n_threads=1, progress=False)
    run(llm.agenerate(PROMPT, max_tokens=1))
    (thread,) = wake_threads()
    del llm
    gc.collect()
    assert not thread.is_alive()
