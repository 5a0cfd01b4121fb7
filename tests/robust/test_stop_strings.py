"""Any number of stop strings, of any length: what they take grows with their bytes, and no faster."""

from __future__ import annotations

import time

import pytest

from llmlocal import LLM, ParameterError

# Far more than it takes, and far less than anything that grows faster.
SOON_S = 20.0


def test_a_hundred_thousand(tiny_llm: LLM) -> None:
    stops = [f"stop {number}!" for number in range(100_000)]
    expected = tiny_llm.generate("hello", max_tokens=100, temp=0)
    began = time.monotonic()
    assert tiny_llm.generate("hello", max_tokens=100, temp=0, stop=stops) == expected
    found = tiny_llm.generate("hello", max_tokens=100, temp=0, stop=[*stops, expected[20:25]])
    assert time.monotonic() - began < SOON_S
    assert found.stop_match == expected[20:25]


@pytest.mark.parametrize("text", ["a", "ab", "\0", "\U0001f600", "hello "])
def test_one_of_a_million_bytes(text: str, tiny_llm: LLM) -> None:
    stop = text * (1_000_000 // len(text.encode()))
    expected = tiny_llm.generate("hello", max_tokens=20, temp=0)
    began = time.monotonic()
    answers = tiny_llm.generate(["hello"] * 16, max_tokens=20, temp=0, stop=stop)
    assert time.monotonic() - began < SOON_S
    assert answers == [expected] * 16


def test_more_than_there_may_be_are_refused(tiny_llm: LLM) -> None:
    with pytest.raises(ParameterError, match="stop holds 20000000 bytes of text; at most 16777216"):
        tiny_llm.generate("hello", stop=["a" * 20_000_000])
    with pytest.raises(ParameterError, match="dry_breakers must hold at most 256 strings"):
        tiny_llm.generate("hello", dry_breakers=["a"] * 257)
