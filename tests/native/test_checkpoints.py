"""Models whose states are whole: later prompts evaluate no more than what follows a checkpoint."""

from __future__ import annotations

import pytest

from llmlocal import LLM

from ..conftest import OpenTiny
from .reference import Reference, tokens

WHOLE = ["mamba", "jamba", "gemma"]
ENDS = {"mamba": "<|im_end|>", "jamba": "<|im_end|>", "gemma": "<end_of_turn>"}
OTHER = tokens(60, seed=9)


def talk(llm: LLM, name: str, *messages: list[int]) -> list[int]:
    """The messages, each with the token that ends it, and the beginning of an answer."""
    (end,) = llm.tokenize(ENDS[name], add_special=False)
    return [token for message in messages for token in [*message, end]] + tokens(3, seed=99)


def ask(llm: LLM, name: str, prompt: list[int], reference: Reference) -> int:
    """How much of a prompt was there already; its answer is what a fresh model's would be."""
    answer = llm.generate(prompt, temp=0, max_tokens=20)
    reference.check(name, prompt, answer.tokens)
    return answer.usage.cached_tokens


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("is_displaced", [False, True])
def test_a_retry_and_an_edited_message(
    name: str, is_displaced: bool, open_tiny: OpenTiny, reference: Reference
) -> None:
    llm = open_tiny(name, n_parallel=1)
    system, question, edited = tokens(50, seed=1), tokens(30, seed=2), tokens(25, seed=3)
    assert ask(llm, name, talk(llm, name, system, question), reference) <= 1
    if is_displaced:
        ask(llm, name, OTHER, reference)
    assert ask(llm, name, talk(llm, name, system, question), reference) >= 51 + 31
    if is_displaced:
        ask(llm, name, OTHER, reference)
    assert ask(llm, name, talk(llm, name, system, edited), reference) >= 51


@pytest.mark.parametrize("name", WHOLE)
def test_a_new_conversation_on_the_same_instruction(
    name: str, open_tiny: OpenTiny, reference: Reference
) -> None:
    llm = open_tiny(name, n_parallel=1)
    system = tokens(60, seed=1)
    for i in range(3):
        prompt = talk(llm, name, system, tokens(20, seed=10 + i), tokens(20, seed=20 + i))
        assert ask(llm, name, prompt, reference) >= (61 if i else 0)


@pytest.mark.parametrize("name", WHOLE)
def test_where_two_texts_part_a_third_goes_on(
    name: str, open_tiny: OpenTiny, reference: Reference
) -> None:
    llm = open_tiny(name, n_parallel=1)
    shared = tokens(100, seed=1)
    cached = [ask(llm, name, [*shared, *tokens(20, seed=30 + i)], reference) for i in range(4)]
    assert cached[2] >= len(shared)
    assert cached[3] >= len(shared)


@pytest.mark.parametrize("name", WHOLE)
def test_without_a_store_answers_are_the_same(
    name: str, open_tiny: OpenTiny, reference: Reference
) -> None:
    llm = open_tiny(name, n_parallel=1, prefix_cache_bytes=0)
    for message in (2, 3, 2):
        ask(llm, name, talk(llm, name, tokens(50, seed=1), tokens(30, seed=message)), reference)
