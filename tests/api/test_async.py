"""Asyncio: tasks wait without blocking the loop, and learn of the end of the model."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from llmlocal import LLM, Completion, EngineClosedError, EngineError, ParameterError

from ..conftest import OpenTiny
from .tasks import ENDLESS, PROMPT, run, until, wake_threads
from .waiting import PATIENCE_S


@pytest.fixture
def llm(open_tiny: OpenTiny) -> LLM:
    """A model with room for a text that no test waits for the end of."""
    return open_tiny(n_ctx=100_000)


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
