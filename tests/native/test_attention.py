"""Attention in one fused step, as on GPUs, or in separate ones, as on CPUs, gives the same answers."""

from __future__ import annotations

import pytest

from llmlocal import LLM, EngineError, ParameterError

from ..conftest import OpenTiny, TinyPath
from ..real_models import real_model
from .reference import Reference, tokens

SHARED, TAIL = tokens(100, seed=1), tokens(5, seed=3)


def check(llm: LLM, name: str, prompt: list[int], cached: int, reference: Reference) -> None:
    answer = llm.generate(prompt, temp=0, max_tokens=20)
    assert answer.usage.cached_tokens == cached
    reference.check(name, prompt, answer.tokens)


@pytest.mark.parametrize("name", ["llama", "gemma", "jamba"])
@pytest.mark.parametrize("flash_attention", [True, False])
def test_answers_are_the_same(
    name: str, *, flash_attention: bool, open_tiny: OpenTiny, reference: Reference
) -> None:
    check(open_tiny(name, flash_attention=flash_attention), name, SHARED, 0, reference)


@pytest.mark.parametrize("name", ["llama", "gemma"])
@pytest.mark.parametrize("flash_attention", [True, False])
def test_prefixes_are_shared_and_restored(
    name: str, *, flash_attention: bool, open_tiny: OpenTiny, reference: Reference
) -> None:
    """The two store values in different orders."""
    llm = open_tiny(name, flash_attention=flash_attention)
    prompts = [[*SHARED, *tokens(5, seed=seed)] for seed in range(4, 8)]
    answers = llm.generate(prompts, temp=0, max_tokens=20)
    assert sum(answer.usage.cached_tokens for answer in answers) == 3 * len(SHARED)
    for prompt, answer in zip(prompts, answers, strict=True):
        reference.check(name, prompt, answer.tokens)
    llm.generate([tokens(60, seed=seed) for seed in range(20, 32)], temp=0, max_tokens=2)
    again = llm.generate([*prompts[0], *TAIL], temp=0, max_tokens=20)
    assert again.usage.cached_tokens >= len(SHARED)
    reference.check(name, [*prompts[0], *TAIL], again.tokens)


def test_quantized_values_are_fused_by_themselves() -> None:
    with LLM(real_model("smollm2-135m-instruct"), kv_type="q8_0", progress=False) as llm:
        assert llm.generate("The capital of France is", temp=0, max_tokens=4).startswith(" Paris")


def test_quantized_values_can_not_be_in_separate_steps(tiny_path: TinyPath) -> None:
    with pytest.raises(ParameterError, match="kv_type='q8_0' needs flash_attention"):
        LLM(tiny_path("llama"), kv_type="q8_0", flash_attention=False, progress=False)


def test_a_type_that_does_not_suit_the_model_is_refused(tiny_path: TinyPath) -> None:
    with pytest.raises(EngineError, match="block size 32 does not divide"):
        LLM(tiny_path("llama"), kv_type="q8_0", progress=False)


def test_scores_of_long_contexts_keep_to_their_memory(open_tiny: OpenTiny) -> None:
    """Fewer rows are evaluated at once; a prompt longer than that is right all the same."""
    long, short = (open_tiny("llama", n_ctx=n_ctx, n_parallel=1) for n_ctx in (400_000, 4_000))
    assert long.memory()["CPU"].context < 1_500_000_000
    prompt = tokens(200, seed=1)
    answers = [llm.generate(prompt, temp=0, max_tokens=5).tokens for llm in (long, short)]
    assert answers[0] == answers[1]
