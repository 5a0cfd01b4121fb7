"""Long lists: what prompts share is evaluated once, whatever their order; answers as they end."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest

from llmlocal import LLM, ContextOverflowError, ParameterError
from llmlocal._generation._order import prefix_order

from ..conftest import OpenTiny
from .reference import Reference, tokens

SHARED = [tokens(60, seed=i) for i in range(12)]


def shuffled(count: int) -> list[list[int]]:
    """Prompts over the shared texts, in no order."""
    prompts = [[*SHARED[i % len(SHARED)], *tokens(5, seed=100 + i)] for i in range(count)]
    random.Random(1).shuffle(prompts)
    return prompts


@pytest.fixture
def llm(open_tiny: OpenTiny) -> LLM:
    """Has no room for all of the shared texts."""
    return open_tiny(n_parallel=3, prefix_cache_bytes=0)


def test_the_order_is_that_of_the_tree() -> None:
    begin = [*range(100, 116)]  # What shares less is on its own.
    prompts = [[*begin, 2, 3], [2], [*begin, 2], [*begin, 3], [2], [*begin[:15]], [*begin, 2, 3, 0]]
    assert prefix_order(prompts) == [2, 0, 6, 3, 1, 4, 5]
    assert prefix_order([[3], [1], [2]]) == [0, 1, 2]
    assert prefix_order([]) == []


def test_each_shared_text_is_evaluated_once(llm: LLM, reference: Reference) -> None:
    prompts = shuffled(72)
    answers = llm.generate(prompts, temp=0, max_tokens=4)
    shared = sum(map(len, SHARED))
    assert llm.stats().prompt_tokens <= 1.05 * shared + 72 * 5
    for prompt, answer in zip(prompts, answers, strict=True):
        reference.check("llama", prompt, answer.tokens)


def test_a_thousand_prompts_over_fifty_texts(open_tiny: OpenTiny) -> None:
    """With a store that holds a few of them."""
    llm = open_tiny(n_parallel=8, prefix_cache_bytes=200_000)
    texts = [tokens(100, seed=i) for i in range(50)]
    prompts = [[*texts[i % 50], *tokens(6, seed=100 + i)] for i in range(1_000)]
    random.Random(1).shuffle(prompts)
    llm.generate(prompts, temp=0, max_tokens=1)
    assert llm.stats().prompt_tokens <= 1.05 * 50 * 100 + 1_000 * 6


def test_seeds_belong_to_the_places(open_tiny: OpenTiny) -> None:
    prompts = [tokens(9, seed=i) for i in (5, 3, 4)]
    answers = open_tiny().generate(prompts, max_tokens=6)
    for prompt, answer in zip(prompts, answers, strict=True):
        assert open_tiny(n_parallel=1).generate(prompt, max_tokens=6, seed=answer.seed) == answer


@pytest.mark.parametrize("in_flight", [1, 5, 1000])
def test_map_yields_each_answer_once(llm: LLM, reference: Reference, in_flight: int) -> None:
    prompts = shuffled(30)
    answers = dict(llm.map(iter(prompts), in_flight=in_flight, temp=0, max_tokens=4))
    assert sorted(answers) == list(range(30))
    for place, answer in answers.items():
        reference.check("llama", prompts[place], answer.tokens)


def test_map_reads_no_more_than_is_under_way(llm: LLM) -> None:
    n_read = 0

    def endless() -> Iterator[list[int]]:
        nonlocal n_read
        for n_read in itertools.count(1):
            yield tokens(8, seed=n_read)

    answers = llm.map(endless(), in_flight=6, temp=0, max_tokens=2)
    for n_answered, _ in enumerate(itertools.islice(answers, 20)):
        assert n_read <= n_answered + 6
    answers.close()  # type: ignore[attr-defined]  # it is a generator
    assert llm.generate([300], max_tokens=1).finish_reason == "length"


def test_map_of_nothing_and_of_what_is_wrong(llm: LLM) -> None:
    assert list(llm.map([])) == []
    with pytest.raises(ParameterError, match="in_flight"):
        llm.map([], in_flight=0)
    with pytest.raises(ParameterError, match="top_k"):
        llm.map([], top_k=-5)
    with pytest.raises(ContextOverflowError):
        list(llm.map([[300], [300] * 10_000], max_tokens=1))
