"""A stop is a stop: whoever stops a request, and wherever it is, the next one is served at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from llmlocal import LLM, Completion, Stream

from ..conftest import OpenTiny
from .waiting import assert_serves, wait_until

ENDLESS: Any = {"max_tokens": None, "temp": 0}
LONG_PROMPT = [300] * 30_000


# --- Where a request can be -----------------------------------------------------------------------


@dataclass
class Scene:
    """A request that is where a test wants it, and what must hold once it was stopped."""

    llm: LLM
    stream: Stream | None
    check: Callable[[], None]

    @property
    def result(self) -> Completion:
        assert self.stream is not None
        return self.stream.result


def in_decode(open_tiny: OpenTiny, **options: Any) -> Scene:
    """It answers."""
    llm = open_tiny(n_ctx=100_000)
    stream = llm.generate("hello", streaming=True, **ENDLESS, **options)
    wait_until(lambda: llm.stats().completion_tokens)
    return Scene(llm, stream, lambda: assert_serves(llm))


def in_its_prompt(open_tiny: OpenTiny, *, n_batch: int = 32_768, **options: Any) -> Scene:
    """Its long prompt is evaluated, all in one step, which must be cut short."""
    llm = open_tiny(n_ctx=100_000, n_batch=n_batch)
    stream = llm.generate(LONG_PROMPT, streaming=True, **ENDLESS, **options)
    wait_until(lambda: llm.stats().sequences_active)

    def check() -> None:
        wait_until(lambda: llm.stats().sequences_active == 0)
        # Had it gone on to the end, all of the prompt would be counted.
        assert llm.stats().prompt_tokens < len(LONG_PROMPT)
        assert_serves(llm)

    return Scene(llm, stream, check)


def between_pieces_of_its_prompt(open_tiny: OpenTiny, **options: Any) -> Scene:
    """Its long prompt is evaluated in very many short steps."""
    scene = in_its_prompt(open_tiny, n_batch=8, **options)
    wait_until(lambda: scene.llm.stats().prompt_tokens)
    return scene


def in_the_queue(open_tiny: OpenTiny, **options: Any) -> Scene:
    """Another one has the only stream."""
    llm = open_tiny(n_ctx=100_000, n_parallel=1)
    running = llm.generate("hello", streaming=True, **ENDLESS)
    next(running)
    stream = llm.generate("hello", streaming=True, **ENDLESS, **options)
    wait_until(lambda: llm.stats().waiting == 1)

    def check() -> None:
        wait_until(lambda: llm.stats().waiting == 0)
        # The one that runs did not notice.
        assert next(running)
        assert llm.stats().sequences_active == 1
        running.close()
        assert_serves(llm)

    return Scene(llm, stream, check)


Place = Callable[..., Scene]
EVERYWHERE = pytest.mark.parametrize(
    "place", [in_decode, in_its_prompt, between_pieces_of_its_prompt, in_the_queue]
)


# --- Who can stop it ------------------------------------------------------------------------------


def by_cancel(stream: Stream) -> None:
    stream.cancel()


def by_cancel_in_another_thread(stream: Stream) -> None:
    """While this one waits for text."""
    thread = threading.Thread(target=stream.cancel)
    thread.start()
    for _ in stream:
        pass
    thread.join()


def by_close(stream: Stream) -> None:
    stream.close()


def by_leaving_a_with_block(stream: Stream) -> None:
    with stream:
        pass


@EVERYWHERE
@pytest.mark.parametrize(
    "stop", [by_cancel, by_cancel_in_another_thread, by_close, by_leaving_a_with_block]
)
def test_stopping_a_stream(
    place: Place, stop: Callable[[Stream], None], open_tiny: OpenTiny
) -> None:
    scene = place(open_tiny)
    assert scene.stream is not None
    stop(scene.stream)
    assert scene.result.finish_reason == "cancelled"
    assert scene.result == scene.stream.text
    scene.check()


@EVERYWHERE
def test_dropping_a_stream(place: Place, open_tiny: OpenTiny) -> None:
    scene = place(open_tiny)
    scene.stream = None
    scene.check()


@EVERYWHERE
def test_a_time_limit(place: Place, open_tiny: OpenTiny) -> None:
    start = time.monotonic()
    scene = place(open_tiny, timeout=0.3)
    assert scene.result.finish_reason == "timeout"
    assert time.monotonic() - start >= 0.3
    scene.check()


def test_a_time_limit_returns_what_came_so_far(open_tiny: OpenTiny) -> None:
    llm = open_tiny(n_ctx=100_000)
    answer = llm.generate("hello", timeout=0.3, **ENDLESS)
    assert answer.finish_reason == "timeout"
    assert answer == llm.detokenize(answer.tokens)
    assert answer.usage.completion_tokens == len(answer.tokens) > 0
    assert answer.timings.first_token > 0
    assert_serves(llm)


def test_a_time_limit_holds_for_each_of_a_list(open_tiny: OpenTiny) -> None:
    llm = open_tiny(n_ctx=100_000, n_parallel=1)
    answers = llm.generate(["hello", "one two"], timeout=0.3, **ENDLESS)
    assert [answer.finish_reason for answer in answers] == ["timeout", "timeout"]
    # The second had no stream, and so no text.
    assert answers[0]
    assert answers[1] == ""
    assert answers[1].timings.first_token == 0


def test_leaving_a_loop(open_tiny: OpenTiny) -> None:
    llm = open_tiny(n_ctx=100_000)
    for piece in llm.generate("hello", streaming=True, **ENDLESS):
        assert piece
        break
    assert_serves(llm)


def test_an_error_in_a_loop(open_tiny: OpenTiny) -> None:
    llm = open_tiny(n_ctx=100_000)

    def read_and_fail() -> None:
        for piece in llm.generate("hello", streaming=True, **ENDLESS):
            raise OSError(f"can't use {piece}")

    with pytest.raises(OSError, match="can't use"):
        read_and_fail()
    assert_serves(llm)


def test_it_takes_one_step(open_tiny: OpenTiny) -> None:
    llm = open_tiny(n_ctx=100_000)
    for _ in range(20):
        stream = llm.generate("hello", streaming=True, **ENDLESS)
        next(stream)
        stream.cancel()
        steps = llm.stats().steps
        assert stream.result.finish_reason == "cancelled"
        # The step that was being evaluated, and at most one that was about to.
        assert llm.stats().steps <= steps + 2
        assert llm.stats().sequences_active == 0


def test_others_go_on(open_tiny: OpenTiny) -> None:
    llm = open_tiny(n_ctx=100_000)
    streams = [llm.generate("hello", streaming=True, **ENDLESS) for _ in range(4)]
    for stream in streams:
        next(stream)
    for stream in streams[::2]:
        stream.cancel()
        assert stream.result.finish_reason == "cancelled"
    assert llm.stats().sequences_active == 2
    for stream in streams[1::2]:
        assert next(stream)


def test_a_request_that_is_over_can_be_stopped(tiny_llm: LLM) -> None:
    stream = tiny_llm.generate("hello", streaming=True, max_tokens=3)
    assert stream.result.finish_reason == "length"
    stream.cancel()
    stream.close()
    assert stream.result.finish_reason == "length"
