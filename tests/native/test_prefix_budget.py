"""The memory that streams and stored prefixes may take is what was allowed."""

from __future__ import annotations

import pytest

from ..conftest import OpenTiny
from ..tiny_models import MODELS
from .reference import Reference, tokens


@pytest.mark.parametrize("name", MODELS)
def test_the_store_keeps_to_its_budget(
    name: str, open_tiny: OpenTiny, reference: Reference
) -> None:
    roomy = open_tiny(name, n_parallel=1)
    roomy.generate([tokens(60, seed=1), tokens(60, seed=2)], temp=0, max_tokens=10)
    one = roomy.stats().store_bytes
    assert one > 0

    budget = 4 * one
    llm = open_tiny(name, n_parallel=1, prefix_cache_bytes=budget)
    turns = []
    for seed in range(12):
        prompt = tokens(60, seed=seed)
        turns.append([*prompt, *llm.generate(prompt, temp=0, max_tokens=10).tokens])
        assert llm.stats().store_bytes <= budget
    assert llm.stats().store_budget == budget
    assert llm.stats().store_bytes > budget / 2  # It is used, too.

    # The latest are there, the earliest are not.
    late, early = turns[10] + [300], turns[0] + [300]
    assert llm.generate(late, temp=0, max_tokens=2).usage.cached_tokens == 69
    answer = llm.generate(early, temp=0, max_tokens=10)
    assert answer.usage.cached_tokens <= 1
    reference.check(name, early, answer.tokens)


@pytest.mark.parametrize("name", MODELS)
def test_no_store(name: str, open_tiny: OpenTiny) -> None:
    llm = open_tiny(name, n_parallel=1, prefix_cache_bytes=0)
    prompt = tokens(60, seed=1)
    turn = [*prompt, *llm.generate(prompt, temp=0, max_tokens=10).tokens]
    llm.generate(tokens(60, seed=2), temp=0, max_tokens=10)
    assert llm.generate([*turn, 300], temp=0, max_tokens=2).usage.cached_tokens <= 1
    stats = llm.stats()
    assert (stats.store_bytes, stats.store_entries, stats.store_budget) == (0, 0, 0)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("affordable", [1, 2, 3, 5])
def test_streams_keep_to_their_budget(
    name: str, affordable: int, open_tiny: OpenTiny, reference: Reference
) -> None:
    each = open_tiny(name).stats().sequence_bytes
    assert each > 0
    llm = open_tiny(name, kv_cache_bytes=each * affordable + each // 2)
    assert llm.stats().sequences_limit == affordable
    prompts = [tokens(20, seed=i) for i in range(7)]
    answers = llm.generate(prompts, temp=0, max_tokens=10)
    assert llm.stats().sequences == affordable
    for prompt, answer in zip(prompts, answers, strict=True):
        reference.check(name, prompt, answer.tokens)


@pytest.mark.parametrize("name", MODELS)
def test_one_stream_is_always_there(name: str, open_tiny: OpenTiny) -> None:
    llm = open_tiny(name, kv_cache_bytes=0)
    assert llm.stats().sequences_limit == 1
    assert llm.generate([[300], [301]], temp=0, max_tokens=2)[1].finish_reason == "length"
