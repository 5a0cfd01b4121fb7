"""Long conversations keep at their checkpoints only what can't be cut back, and lose nothing by it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from llmlocal import LLM, Completion

from ..conftest import OpenTiny
from .reference import Reference, tokens

ENDS = {"mamba": "<|im_end|>", "jamba": "<|im_end|>", "gemma": "<end_of_turn>"}
HAVE_PARTS = ["jamba", "gemma"]
SYSTEM = 300  # So long that a part of a state is much less than all of it.


class Talk:
    """Messages, each with the token that ends it, and where the checkpoints are."""

    def __init__(self, llm: LLM, name: str, *messages: list[int]) -> None:
        (end,) = llm.tokenize(ENDS[name], add_special=False)
        self.prompt: list[int] = []
        self.ends: list[int] = []
        for message in messages:
            self.prompt += [*message, end]
            self.ends.append(len(self.prompt))
        self.prompt += tokens(3, seed=99)


def ask(llm: LLM, name: str, prompt: list[int], reference: Reference) -> int:
    answer = llm.generate(prompt, temp=0, max_tokens=12)
    reference.check(name, prompt, answer.tokens)
    return answer.usage.cached_tokens


@pytest.mark.parametrize("name", HAVE_PARTS)
def test_fewer_bytes_than_with_whole_states(
    name: str, open_tiny: OpenTiny, reference: Reference, tmp_path: Path
) -> None:
    """With a folder for files the states are whole, as they must be there."""
    bytes_of = {}
    for folder in ("", str(tmp_path)):
        llm = open_tiny(name, n_parallel=1, n_ctx=2048, prefix_cache_path=folder)
        messages = [tokens(SYSTEM, seed=1), tokens(200, seed=2), tokens(200, seed=3)]
        talk = Talk(llm, name, *messages)
        ask(llm, name, talk.prompt, reference)
        edited = Talk(llm, name, *messages[:2], tokens(150, seed=4))
        assert ask(llm, name, edited.prompt, reference) >= talk.ends[1]
        bytes_of[folder] = llm.stats().store_bytes
    assert bytes_of[""] < bytes_of[str(tmp_path)] * 0.6


@pytest.mark.parametrize("name", [*HAVE_PARTS, "mamba"])
@pytest.mark.parametrize("streams", [1, 3])
def test_any_conversations_evaluate_what_follows_a_checkpoint_and_answer_as_a_fresh_model(
    name: str, streams: int, open_tiny: OpenTiny, reference: Reference
) -> None:
    llm = open_tiny(name, n_parallel=streams, n_ctx=2048)
    draw = random.Random(f"{name} {streams}")
    known: set[tuple[int, ...]] = set()
    for _ in range(12):
        messages = [tokens(SYSTEM, seed=draw.randint(1, 2))]
        messages += [tokens(40, seed=draw.randint(10, 11)) for _ in range(draw.randint(1, 3))]
        talk = Talk(llm, name, *messages)
        cached = ask(llm, name, talk.prompt, reference)
        # Checkpoints are at the end of the first message and of the last three.
        held = [end for end in talk.ends if tuple(talk.prompt[:end]) in known]
        assert cached >= max(held, default=0)
        known |= {tuple(talk.prompt[:end]) for end in (talk.ends[0], *talk.ends[-3:])}


@pytest.mark.parametrize("name", HAVE_PARTS)
def test_at_the_same_time_on_the_same_text(
    name: str, open_tiny: OpenTiny, reference: Reference
) -> None:
    """One evaluates what is shared, the others copy it while that one runs."""
    llm = open_tiny(name, n_parallel=4, n_ctx=2048)
    shared = Talk(llm, name, tokens(SYSTEM, seed=5))
    prompts = [[*shared.prompt[: shared.ends[0]], *tokens(30, seed=60 + i)] for i in range(6)]
    answers = llm.generate(prompts, temp=0, max_tokens=12)
    for prompt, answer in zip(prompts, answers, strict=True):
        reference.check(name, prompt, answer.tokens)
    evaluated = sum(
        len(prompt) - each.usage.cached_tokens
        for prompt, each in zip(prompts, answers, strict=True)
    )
    assert evaluated <= SYSTEM + 1 + 6 * 31


@pytest.mark.parametrize("name", HAVE_PARTS)
def test_a_state_that_is_saved_after_the_answer_is_whole(
    name: str, open_tiny: OpenTiny, reference: Reference
) -> None:
    llm = open_tiny(name, n_parallel=1, n_ctx=2048)
    talk = Talk(llm, name, tokens(SYSTEM, seed=7), tokens(40, seed=8))
    ask(llm, name, talk.prompt, reference)
    state = llm.save_state(talk.prompt[: talk.ends[1]])
    other = open_tiny(name, n_parallel=2, n_ctx=2048)
    assert other.load_state(state) == talk.ends[1]
    assert (
        ask(other, name, [*talk.prompt[: talk.ends[1]], *tokens(9, seed=9)], reference)
        >= talk.ends[1]
    )


def test_what_was_cut_back_differs_from_a_fresh_run_by_rounding_only(open_tiny: OpenTiny) -> None:
    """In plain numbers, a thousandth of what one other token in the window would do at the least."""
    plain: dict[str, Any] = {"n_parallel": 1, "n_ctx": 1024, "kv_type": "f32"}
    kept = open_tiny("gemma", flash_attention=False, **plain)
    fresh = open_tiny("gemma", flash_attention=False, prefix_cache_bytes=0, **plain)
    shared = tokens(SYSTEM, seed=20)
    for i in range(4):
        prompt = [*shared, *tokens(20, seed=30 + i)]
        answer = kept.generate(prompt, temp=0, max_tokens=1, logprobs=20)
        assert answer.usage.cached_tokens == (SYSTEM if i > 1 else 0)
        kept.generate(tokens(400, seed=50), max_tokens=1)  # Takes the place of what ran last.
        other = list(prompt)
        other[SYSTEM - 1] = tokens(1, seed=40 + i)[0]
        expected = likeliest(fresh.generate(prompt, temp=0, max_tokens=1, logprobs=20))
        changed = likeliest(fresh.generate(other, temp=0, max_tokens=1, logprobs=20))
        assert distance(likeliest(answer), expected) < 1e-3 * distance(changed, expected)


def likeliest(answer: Completion) -> dict[int, float]:
    assert answer.logprobs is not None
    return {each.id: each.logprob for each in answer.logprobs[0].top}


def distance(a: dict[int, float], b: dict[int, float]) -> float:
    return max(abs(a[each] - b[each]) for each in a.keys() & b.keys())
