"""Where a prompt's beginning may be held, and that it is taken from there, on every memory kind."""

from __future__ import annotations

import itertools

import pytest

from llmlocal import LLM, Stream

from ..conftest import OpenTiny
from ..tiny_models import MODELS
from .reference import Reference, tokens

PROMPT, OTHER, TAIL = tokens(60, seed=1), tokens(60, seed=2), tokens(5, seed=3)
ANSWER = 10
# What a conversation leaves behind: the last token of an answer was never evaluated.
LEFT = len(PROMPT) + ANSWER - 1
LONG = 8192  # Tokens: seconds of answering.


def ask(llm: LLM, prompt: list[int]) -> list[int]:
    """The prompt with its greedy answer."""
    return [*prompt, *llm.generate(prompt, temp=0, max_tokens=ANSWER).tokens]


def check_continuation(
    llm: LLM, name: str, prompt: list[int], cached: int, reference: Reference
) -> None:
    answer = llm.generate(prompt, temp=0, max_tokens=30)
    assert answer.usage.cached_tokens == cached
    reference.check(name, prompt, answer.tokens)


def start(llm: LLM, prompt: list[int]) -> Stream:
    """A request that is amid its answer and goes on until it is stopped."""
    stream = llm.generate(prompt, temp=0, max_tokens=None, streaming=True)
    read(stream, 20)
    return stream


def read(stream: Stream, pieces: int) -> None:
    for _ in itertools.islice(stream, pieces):
        pass


def stop(stream: Stream) -> list[int]:
    """The first tokens of its answer, among them some that came after the last read."""
    read(stream, 40)
    stream.cancel()
    assert stream.result.finish_reason == "cancelled"
    return list(stream.result.tokens[:100])


@pytest.mark.parametrize("name", MODELS)
def test_in_place(name: str, open_tiny: OpenTiny, reference: Reference) -> None:
    llm = open_tiny(name, n_parallel=1, prefix_cache_bytes=0)
    turn = ask(llm, PROMPT)
    check_continuation(llm, name, [*turn, *TAIL], LEFT, reference)


@pytest.mark.parametrize("name", ["llama", "gemma"])
def test_in_place_cut_back(name: str, open_tiny: OpenTiny, reference: Reference) -> None:
    llm = open_tiny(name, n_parallel=1, prefix_cache_bytes=0)
    ask(llm, PROMPT)
    check_continuation(llm, name, [*PROMPT, *TAIL], len(PROMPT), reference)
    check_continuation(llm, name, [*PROMPT[:37], *OTHER], 37, reference)


@pytest.mark.parametrize("name", ["mamba", "jamba"])
def test_a_state_can_not_be_cut_back(name: str, open_tiny: OpenTiny, reference: Reference) -> None:
    llm = open_tiny(name, n_parallel=1, prefix_cache_bytes=0)
    ask(llm, PROMPT)
    check_continuation(llm, name, [*PROMPT, *TAIL], 0, reference)


@pytest.mark.parametrize("name", MODELS)
def test_from_the_store(name: str, open_tiny: OpenTiny, reference: Reference) -> None:
    llm = open_tiny(name, n_parallel=1)
    turn = ask(llm, PROMPT)
    ask(llm, OTHER)  # Takes the only stream.
    check_continuation(llm, name, [*turn, *TAIL], LEFT, reference)


@pytest.mark.parametrize("name", ["llama", "mamba", "jamba"])
def test_the_prompt_alone_from_the_store(
    name: str, open_tiny: OpenTiny, reference: Reference
) -> None:
    llm = open_tiny(name, n_parallel=1)
    ask(llm, PROMPT)
    ask(llm, OTHER)
    check_continuation(llm, name, [*PROMPT, *TAIL], len(PROMPT), reference)


@pytest.mark.parametrize("name", ["llama", "mamba", "jamba"])
def test_from_a_running_request(name: str, open_tiny: OpenTiny, reference: Reference) -> None:
    llm = open_tiny(name, n_ctx=LONG)
    first = start(llm, PROMPT)
    check_continuation(llm, name, [*PROMPT, *TAIL], len(PROMPT), reference)
    reference.check(name, PROMPT, stop(first))


def test_a_copy_within_the_window(open_tiny: OpenTiny, reference: Reference) -> None:
    llm = open_tiny("gemma")
    prompt = PROMPT[:20]  # Together with the answer shorter than the window of 32.
    llm.generate(prompt, temp=0, max_tokens=5)
    two = [[*prompt, *tail] for tail in (TAIL, TAIL[::-1])]
    answers = llm.generate(two, temp=0, max_tokens=30)
    # One goes on in place and the other from a copy.
    assert [answer.usage.cached_tokens for answer in answers] == [len(prompt)] * 2
    for each, answer in zip(two, answers, strict=True):
        reference.check("gemma", each, answer.tokens)


@pytest.mark.parametrize("name", MODELS)
def test_growing_keeps_what_is_warm(name: str, open_tiny: OpenTiny, reference: Reference) -> None:
    llm = open_tiny(name, prefix_cache_bytes=0)
    turn = ask(llm, PROMPT)
    assert llm.stats().sequences == 1
    turns = [[*turn, *TAIL], tokens(30, seed=11), tokens(30, seed=12)]
    answers = llm.generate(turns, temp=0, max_tokens=30)
    assert llm.stats().sequences == 4
    assert [each.usage.cached_tokens for each in answers] == [LEFT, 0, 0]
    for prompt, answer in zip(turns, answers, strict=True):
        reference.check(name, prompt, answer.tokens)


@pytest.mark.parametrize("name", MODELS)
def test_growing_keeps_what_runs(name: str, open_tiny: OpenTiny, reference: Reference) -> None:
    llm = open_tiny(name, n_ctx=LONG)
    prompts = [PROMPT, OTHER, tokens(60, seed=13)]
    streams = [start(llm, prompt) for prompt in prompts]
    assert llm.stats().sequences == 4
    for prompt, stream in zip(prompts, streams, strict=True):
        reference.check(name, prompt, stop(stream))
    assert llm.stats().prompt_tokens == 180  # Nobody started over.


@pytest.mark.parametrize("name", MODELS)
def test_what_was_stored_fits_after_growing(
    name: str, open_tiny: OpenTiny, reference: Reference
) -> None:
    llm = open_tiny(name, n_parallel=4)
    turn = ask(llm, PROMPT)
    ask(llm, OTHER)  # Pushes the first one into the store while there is one stream.
    assert llm.stats().store_entries >= 1
    llm.generate([tokens(40, seed=20 + i) for i in range(4)], temp=0, max_tokens=4)
    assert llm.stats().sequences == 4
    check_continuation(llm, name, [*turn, *TAIL], LEFT, reference)
