"""Requests that are evaluated together say what each says alone."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmlocal import LLM

from ..conftest import OpenTiny
from ..tiny_models import MODELS
from .reference import Reference, tokens


@pytest.mark.parametrize("name", MODELS)
def test_a_list_of_prompts(name: str, open_tiny: OpenTiny, reference: Reference) -> None:
    prompts = [tokens(3 + 11 * i, seed=i) for i in range(8)]
    llm = open_tiny(name)
    answers = llm.generate(prompts, temp=0, max_tokens=60)
    for prompt, answer in zip(prompts, answers, strict=True):
        reference.check(name, prompt, answer.tokens)
    assert llm.stats().steps < 8 * 60 / 2  # They did run together.


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("n_batch", [1, 7, 32])
def test_prompts_in_pieces(
    name: str, n_batch: int, open_tiny: OpenTiny, reference: Reference
) -> None:
    llm = open_tiny(name, n_batch=n_batch)
    prompts = [tokens(40 + i, seed=50 + i) for i in range(3)]
    answers = llm.generate(prompts, temp=0, max_tokens=20)
    for prompt, answer in zip(prompts, answers, strict=True):
        reference.check(name, prompt, answer.tokens)


@pytest.mark.parametrize("name", MODELS)
def test_joining_and_leaving(name: str, open_tiny: OpenTiny, reference: Reference) -> None:
    llm = open_tiny(name)
    prompts = [tokens(20 + 30 * (i % 3), seed=100 + i) for i in range(12)]
    lengths = [10 + 17 * (i % 5) for i in range(12)]
    streams = []
    for prompt, length in zip(prompts, lengths, strict=True):
        streams.append(llm.generate(prompt, temp=0, max_tokens=length, streaming=True))
        # All that run go on a little before the next one comes.
        for stream in streams:
            for _ in itertools.islice(stream, 3):
                pass
    for prompt, length, stream in zip(prompts, lengths, streams, strict=True):
        text = "".join(stream)
        reference.check(name, prompt, stream.result.tokens)
        assert len(stream.result.tokens) == length
        assert stream.result.endswith(text)


# A history: rounds of requests, each a (family, length of the family's text, own tail, answer).
REQUESTS = st.tuples(st.integers(0, 2), st.integers(0, 120), st.integers(1, 20), st.integers(1, 25))
HISTORIES = st.lists(st.lists(REQUESTS, min_size=1, max_size=6), min_size=1, max_size=3)


@pytest.fixture(params=MODELS)
def busy_model(request: pytest.FixtureRequest, open_tiny: OpenTiny) -> tuple[str, LLM]:
    """A model with fewer streams than requests, and a store that soon overflows."""
    return request.param, open_tiny(request.param, n_parallel=3, prefix_cache_bytes=400_000)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=HISTORIES)
def test_whatever_came_before(
    history: list[list[tuple[int, int, int, int]]],
    busy_model: tuple[str, LLM],
    reference: Reference,
) -> None:
    name, llm = busy_model  # The same one for all histories: each adds to the last one's leavings.
    for round_ in history:
        prompts = [
            tokens(shared, seed=family) + tokens(tail, seed=1000 + 50 * family + tail)
            for family, shared, tail, _ in round_
        ]
        streams = [
            llm.generate(prompt, temp=0, max_tokens=length, streaming=True)
            for prompt, (_, _, _, length) in zip(prompts, round_, strict=True)
        ]
        for prompt, (_, _, _, length), stream in zip(prompts, round_, streams, strict=True):
            for _ in stream:
                pass
            assert len(stream.result.tokens) == length
            reference.check(name, prompt, stream.result.tokens)
    assert llm.stats().sequences_active == 0
    assert llm.stats().store_bytes <= 400_000
