"""``timeout=`` counts from the call: also a text that takes long to tokenize can't outlast it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from llmlocal import LLM, RequestTimeoutError
from llmlocal._deadline import seconds_left, within

LONG = "fox " * 15_000_000
"""Takes seconds."""

CALLS: dict[str, Callable[[LLM], object]] = {
    "generate": lambda llm: llm.generate(LONG, timeout=0.1),
    "stream": lambda llm: llm.generate(LONG, timeout=0.1, streaming=True),
    "several": lambda llm: llm.generate(["a", LONG], timeout=0.1),
    "agenerate": lambda llm: asyncio.run(llm.agenerate(LONG, timeout=0.1)),
    "chat": lambda llm: llm.chat(LONG, timeout=0.1),
    "session": lambda llm: llm.chat_session(timeout=0.1).generate(LONG),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_long_text_does_not_outlast_the_limit(name: str, tiny_llm: LLM) -> None:
    began = time.monotonic()
    with pytest.raises(RequestTimeoutError, match="before the text was tokenized"):
        CALLS[name](tiny_llm)
    assert time.monotonic() - began < 3
    assert tiny_llm.generate("the quick", max_tokens=2).usage.completion_tokens == 2


def test_what_the_text_took_is_gone_from_the_limit(
    tiny_llm: LLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()

    def tokenize(_: str) -> list[int]:
        monkeypatch.setattr(time, "monotonic", lambda: now + 60)
        return [1, 2, 3]

    monkeypatch.setattr(tiny_llm, "tokenize", tokenize)
    answer = tiny_llm.generate("the quick", timeout=30)
    assert (answer, answer.finish_reason) == ("", "timeout")


def test_the_earlier_of_two_limits_counts() -> None:
    assert seconds_left() is None
    with within(100):
        with within(10):
            assert 9 < (seconds_left() or 0) <= 10
            with within(None), within(50):
                assert (seconds_left() or 0) <= 10
        assert 90 < (seconds_left() or 0) <= 100
    assert seconds_left() is None
