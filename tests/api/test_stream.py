"""Text that arrives while it is generated."""

from __future__ import annotations

import pytest

from llmlocal import LLM, EngineClosedError, Stream

from ..conftest import OpenTiny
from .waiting import assert_serves, wait_until

PROMPT = "the quick brown fox"


def endless(llm: LLM) -> Stream:
    return llm.generate(PROMPT, max_tokens=None, temp=0, streaming=True)


@pytest.fixture
def llm(open_tiny: OpenTiny) -> LLM:
    """A model with room for a text that no test waits for the end of."""
    return open_tiny(n_ctx=100_000)


@pytest.mark.parametrize("name", ["llama", "gemma", "mamba", "jamba"])
def test_joined_it_is_what_generate_returns(name: str, open_tiny: OpenTiny) -> None:
    whole = open_tiny(name).generate(PROMPT, max_tokens=100, temp=0)
    stream = open_tiny(name).generate(PROMPT, max_tokens=100, temp=0, streaming=True)
    pieces = list(stream)
    assert "".join(pieces) == stream.text == stream.result == whole
    assert all(pieces)
    assert stream.result.tokens == whole.tokens
    assert stream.result.usage == whole.usage


def test_it_arrives_while_it_is_generated(llm: LLM) -> None:
    stream = endless(llm)
    text = next(stream) + next(stream)
    assert stream.text.startswith(text)
    assert llm.stats().sequences_active == 1


def test_the_engine_does_not_wait_for_the_reader(tiny_llm: LLM) -> None:
    stream = tiny_llm.generate(PROMPT, max_tokens=50, temp=0, streaming=True)
    wait_until(lambda: tiny_llm.stats().completion_tokens == 50)
    assert "".join(stream) == stream.result


def test_the_result_waits_and_leaves_the_pieces(tiny_llm: LLM) -> None:
    stream = tiny_llm.generate(PROMPT, max_tokens=50, temp=0, streaming=True)
    result = stream.result
    assert result.usage.completion_tokens == 50
    assert "".join(stream) == result


def test_the_end_is_the_end(tiny_llm: LLM) -> None:
    stream = tiny_llm.generate(PROMPT, max_tokens=3, streaming=True)
    assert list(stream)
    assert list(stream) == []
    with pytest.raises(StopIteration):
        next(stream)


def test_wrong_options_are_refused_at_once(tiny_llm: LLM) -> None:
    with pytest.raises(ValueError, match="temp must be"):
        tiny_llm.generate(PROMPT, temp=-1, streaming=True)


def test_after_cancel_the_rest_can_be_read(llm: LLM) -> None:
    stream = endless(llm)
    first = next(stream)
    stream.cancel()
    assert first + "".join(stream) == stream.result
    assert stream.result.finish_reason == "cancelled"
    assert stream.result.usage.completion_tokens == len(stream.result.tokens) >= 1
    assert_serves(llm)


def test_after_close_there_is_no_more_text(llm: LLM) -> None:
    stream = endless(llm)
    next(stream)
    taken = llm.stats().completion_tokens
    wait_until(lambda: llm.stats().completion_tokens > taken + 20)
    stream.close()
    stream.close()
    assert list(stream) == []
    assert stream.result.finish_reason == "cancelled"
    assert stream.result.usage.completion_tokens > taken + 20
    assert_serves(llm)


def test_after_the_end_closing_changes_nothing(tiny_llm: LLM) -> None:
    with tiny_llm.generate(PROMPT, max_tokens=3, streaming=True) as stream:
        text = "".join(stream)
    assert stream.result == text
    assert stream.result.finish_reason == "length"


def test_leaving_the_with_block_stops_it(llm: LLM) -> None:
    with endless(llm) as stream:
        next(stream)
    assert stream.result.finish_reason == "cancelled"
    assert_serves(llm)


def test_an_error_in_the_with_block_stops_it_too(llm: LLM) -> None:
    def read_and_fail() -> None:
        with endless(llm) as stream:
            raise OSError(f"can't use {next(stream)}")

    with pytest.raises(OSError, match="can't use"):
        read_and_fail()
    assert_serves(llm)


def test_two_streams_in_turn(llm: LLM) -> None:
    first, second = (
        llm.generate(PROMPT, max_tokens=None, logit_bias={token: 1000.0}, streaming=True)
        for token in (300, 301)
    )
    taken = {(next(first), next(second)) for _ in range(20)}
    assert taken == {(llm.detokenize([300]), llm.detokenize([301]))}
    assert llm.stats().sequences_active == 2


def test_an_error_comes_after_the_text_and_stays(llm: LLM) -> None:
    stream = endless(llm)
    wait_until(lambda: llm.stats().completion_tokens > 20)
    llm.close()
    seen: list[str] = []
    with pytest.raises(EngineClosedError, match="the model was closed"):
        seen.extend(stream)
    assert seen
    assert "".join(seen) == stream.text
    with pytest.raises(EngineClosedError, match="the model was closed"):
        next(stream)
    with pytest.raises(EngineClosedError, match="the model was closed"):
        _ = stream.result
