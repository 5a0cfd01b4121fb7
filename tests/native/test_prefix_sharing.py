"""Requests that arrive together with the same long text evaluate it once."""

from __future__ import annotations

import pytest

from ..conftest import OpenTiny
from ..tiny_models import MODELS
from .reference import Reference, tokens

TEXT = tokens(200, seed=9)
LETTERS = range(70, 86)  # Tokens that are nowhere in it.
QUESTIONS = [[*TEXT, letter, *tokens(4, seed=letter)] for letter in LETTERS]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("n_parallel", [4, 16])
def test_sixteen_questions_about_one_text(
    name: str, n_parallel: int, open_tiny: OpenTiny, reference: Reference
) -> None:
    llm = open_tiny(name, n_parallel=n_parallel)
    answers = llm.generate(QUESTIONS, temp=0, max_tokens=12)
    cached = sorted(answer.usage.cached_tokens for answer in answers)
    assert cached == [0] + 15 * [len(TEXT)]
    assert llm.stats().prompt_tokens == len(TEXT) + 16 * 5
    assert llm.stats().prefix_hits == 15
    for question, answer in zip(QUESTIONS, answers, strict=True):
        reference.check(name, question, answer.tokens)


@pytest.mark.parametrize("name", MODELS)
def test_a_text_longer_than_a_step(name: str, open_tiny: OpenTiny, reference: Reference) -> None:
    llm = open_tiny(name, n_batch=32)
    answers = llm.generate(QUESTIONS[:6], temp=0, max_tokens=12)
    assert sorted(answer.usage.cached_tokens for answer in answers) == [0] + 5 * [len(TEXT)]
    for question, answer in zip(QUESTIONS, answers, strict=False):
        reference.check(name, question, answer.tokens)


@pytest.mark.parametrize("name", MODELS)
def test_two_texts_at_once(name: str, open_tiny: OpenTiny, reference: Reference) -> None:
    llm = open_tiny(name)
    other = tokens(150, seed=31)
    prompts = [
        prompt for letter in LETTERS[:4] for prompt in ([*TEXT, letter, 300], [*other, letter, 300])
    ]
    answers = llm.generate(prompts, temp=0, max_tokens=12)
    cached = [answer.usage.cached_tokens for answer in answers]
    assert sorted(cached[0::2]) == [0] + 3 * [len(TEXT)]
    assert sorted(cached[1::2]) == [0] + 3 * [len(other)]
    for prompt, answer in zip(prompts, answers, strict=True):
        reference.check(name, prompt, answer.tokens)


@pytest.mark.parametrize("name", MODELS)
def test_one_text_inside_another(name: str, open_tiny: OpenTiny, reference: Reference) -> None:
    # A system prompt that all share, and a document that some share.
    system, document = TEXT[:80], tokens(90, seed=33)
    prompts = [[*system, *document, LETTERS[i]] for i in range(3)]
    prompts += [[*system, LETTERS[i]] for i in range(3)]
    llm = open_tiny(name)
    answers = llm.generate(prompts, temp=0, max_tokens=12)
    cached = sorted(answer.usage.cached_tokens for answer in answers)
    assert cached == [0] + 3 * [len(system)] + 2 * [len(system) + len(document)]
    for prompt, answer in zip(prompts, answers, strict=True):
        reference.check(name, prompt, answer.tokens)


@pytest.mark.parametrize("name", MODELS)
def test_the_same_prompt_many_times(name: str, open_tiny: OpenTiny, reference: Reference) -> None:
    llm = open_tiny(name)
    answers = llm.generate([TEXT] * 8, temp=0, max_tokens=12)
    cached = sorted(answer.usage.cached_tokens for answer in answers)
    assert cached == [0] + 7 * [len(TEXT) - 1]  # The last one is needed for its logits.
    for answer in answers:
        reference.check(name, TEXT, answer.tokens)
