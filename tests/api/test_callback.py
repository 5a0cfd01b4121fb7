"""The callback: what it is told, how it stops a generation, and what its errors do."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from llmlocal import LLM, EngineClosedError, ParameterError

from ..conftest import OpenTiny
from ..tiny_vocab import bpe_vocab
from .waiting import assert_serves, wait_until

PROMPT = "the quick brown fox"
ENDLESS: Any = {"max_tokens": None, "temp": 0}


class Recorder:
    """A callback that keeps what it was told, and answers the last of its answers for ever."""

    def __init__(self, *answers: object) -> None:
        self.calls: list[tuple[int, str]] = []
        self.threads: set[threading.Thread] = set()
        self._answers = answers

    def __call__(self, token: int, text: str) -> object:
        self.calls.append((token, text))
        self.threads.add(threading.current_thread())
        return self._answers[min(len(self.calls), len(self._answers)) - 1]

    @property
    def tokens(self) -> tuple[int, ...]:
        return tuple(token for token, _ in self.calls)

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.calls)


class CallbackError(Exception):
    """What only a test's callback raises."""


def failing(_token: int, _text: str) -> bool:
    raise CallbackError("no more")


@pytest.fixture
def llm(open_tiny: OpenTiny) -> LLM:
    return open_tiny(n_ctx=100_000)


def test_it_is_told_every_token_and_its_text(llm: LLM) -> None:
    callback = Recorder(True)
    answer = llm.generate(PROMPT, max_tokens=30, temp=0, callback=callback)
    assert callback.tokens == answer.tokens
    assert callback.text == answer
    assert [llm.detokenize([token]) for token in callback.tokens] == [
        text for _, text in callback.calls
    ]
    assert answer.finish_reason == "length"


@pytest.mark.parametrize("no_function", [5, "print", asyncio.sleep])
def test_what_is_no_plain_function_is_refused(no_function: Any, llm: LLM) -> None:
    with pytest.raises(ParameterError, match="callback must be a function, and not an async one"):
        llm.generate(PROMPT, callback=no_function)


def test_it_runs_in_the_caller_s_thread(llm: LLM) -> None:
    callback = Recorder(True)
    llm.generate(PROMPT, max_tokens=30, callback=callback)
    assert callback.threads == {threading.current_thread()}


@pytest.mark.parametrize("yes", [True, 1, "go on", [None], None, 0, "", [], np.True_])
def test_whatever_is_not_false_goes_on(yes: object, llm: LLM) -> None:
    answer = llm.generate(PROMPT, max_tokens=10, callback=Recorder(yes))
    assert (answer.finish_reason, len(answer.tokens)) == ("length", 10)


@pytest.mark.parametrize("no", [False, np.False_])
def test_false_stops(no: object, llm: LLM) -> None:
    callback = Recorder(True, True, no)
    answer = llm.generate(PROMPT, callback=callback, **ENDLESS)
    assert len(callback.calls) == 3
    # The refused token belongs to the answer; what the engine made meanwhile does not.
    assert answer == callback.text
    assert answer.tokens == callback.tokens
    assert answer.usage.completion_tokens == 3
    assert (answer.finish_reason, answer.stop_match) == ("cancelled", None)
    assert_serves(llm)


def test_a_stream_does_not_pass_on_what_was_refused(llm: LLM) -> None:
    callback = Recorder(True, True, False)
    stream = llm.generate(PROMPT, callback=callback, streaming=True, **ENDLESS)
    assert list(stream) == [text for _, text in callback.calls[:2]]
    assert stream.result == callback.text
    assert stream.result.finish_reason == "cancelled"
    assert_serves(llm)


def test_held_back_text_comes_with_the_token_that_frees_it(llm: LLM) -> None:
    llm.generate(PROMPT, max_tokens=1)
    text = llm.generate(PROMPT, max_tokens=30, temp=0)
    callback = Recorder(True)
    answer = llm.generate(
        PROMPT, max_tokens=30, temp=0, callback=callback, stop=[text[5:12] + "?", text[20:30]]
    )
    assert answer.stop_match == text[20:30]
    assert callback.text == answer == text[: text.find(text[20:30])]
    assert callback.tokens == answer.tokens
    assert "" in {piece for _, piece in callback.calls}


def test_text_that_the_end_frees_comes_with_the_last_token(llm: LLM) -> None:
    word, end = bpe_vocab().id("hello"), bpe_vocab().id("<|im_end|>")
    callback = Recorder(True)
    answer = llm.generate(
        PROMPT,
        temp=0,
        logit_bias={word: 1000.0, end: 900.0},
        frequency_penalty=60,
        stop="hellohellohello",
        callback=callback,
    )
    assert callback.calls == [(word, ""), (word, ""), (word, "hellohello")]
    assert answer == "hellohello"
    assert answer.tokens == (word, word)


# --- Errors ---------------------------------------------------------------------------------------


def test_its_error_is_raised_where_it_was_asked(llm: LLM) -> None:
    with pytest.raises(CallbackError, match="no more"):
        llm.generate(PROMPT, callback=failing, **ENDLESS)
    assert_serves(llm)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_so_is_what_is_no_error(error: type[BaseException], llm: LLM) -> None:
    def leave(_token: int, _text: str) -> bool:
        raise error("leaving")

    with pytest.raises(error, match="leaving"):
        llm.generate(PROMPT, callback=leave, **ENDLESS)
    assert_serves(llm)


def test_its_error_in_a_stream(llm: LLM) -> None:
    stream = llm.generate(PROMPT, callback=failing, streaming=True, **ENDLESS)
    with pytest.raises(CallbackError, match="no more"):
        next(stream)
    assert list(stream) == []
    assert stream.result.finish_reason == "cancelled"
    assert_serves(llm)


def test_its_error_in_a_task(llm: LLM) -> None:
    async def main() -> None:
        with pytest.raises(CallbackError, match="no more"):
            await llm.agenerate(PROMPT, callback=failing, **ENDLESS)

    asyncio.run(main())
    assert_serves(llm)


def test_a_task_stops_as_well(llm: LLM) -> None:
    callback = Recorder(True, True, False)
    answer = asyncio.run(llm.agenerate(PROMPT, callback=callback, **ENDLESS))
    assert answer == callback.text
    assert (answer.finish_reason, len(answer.tokens)) == ("cancelled", 3)
    assert_serves(llm)


def test_other_requests_go_on(llm: LLM) -> None:
    with llm.generate(PROMPT, streaming=True, **ENDLESS) as other:
        next(other)

        def fail(_caller: int) -> None:
            with pytest.raises(CallbackError, match="no more"):
                llm.generate("hello", callback=failing, **ENDLESS)

        with ThreadPoolExecutor(4) as callers:
            list(callers.map(fail, range(8)))
        before = other.text
        next(other)
        assert other.text.startswith(before)
        wait_until(lambda: llm.stats().sequences_active == 1)
    assert_serves(llm)


# --- What it may do -------------------------------------------------------------------------------


def test_it_may_ask_the_model_something(llm: LLM) -> None:
    inner: list[str] = []

    def ask(_token: int, text: str) -> bool:
        inner.append(llm.generate(text or "hello", max_tokens=2))
        return len(inner) < 3

    answer = llm.generate(PROMPT, callback=ask, **ENDLESS)
    assert answer.usage.completion_tokens == 3
    assert all(inner)


def test_it_may_close_the_model(llm: LLM) -> None:
    def close(_token: int, _text: str) -> bool:
        llm.close()
        return True

    with pytest.raises(EngineClosedError, match="the model was closed"):
        llm.generate(PROMPT, callback=close, **ENDLESS)


def test_a_slow_one_does_not_hold_up_the_engine(llm: LLM) -> None:
    """The engine makes tokens while the callback thinks about the first one."""
    seen: list[int] = []

    def think(_token: int, _text: str) -> bool:
        if not seen:
            other = llm.generate("hello", max_tokens=50)
            seen.append(other.usage.completion_tokens)
            seen.append(llm.stats().completion_tokens)
        return False

    llm.generate(PROMPT, callback=think, **ENDLESS)
    # Both made about 50 meanwhile.
    assert seen[1] >= 2 * 50 - 5
