"""One prompt or many, from one thread or many: what comes back, and what it says of itself."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from llmlocal import LLM, Completion, ContextOverflowError, EngineError, ParameterError

from ..conftest import OpenTiny
from ..tiny_vocab import bpe_vocab

PROMPT = "the quick brown fox"
WORDS = ["hello", "the quick brown", "one two three four five", "A model reads the tokens"]


def only(token: int) -> dict[int, float]:
    """A bias that makes a model say nothing but this token."""
    return {token: 1000.0}


# --- One prompt -----------------------------------------------------------------------------------


def test_a_completion_knows_how_it_came_about(tiny_llm: LLM) -> None:
    answer = tiny_llm.generate(PROMPT, max_tokens=20, temp=0)
    assert isinstance(answer, Completion)
    assert answer
    assert answer == tiny_llm.detokenize(answer.tokens)
    assert answer.finish_reason == "length"
    assert answer.stop_match is None
    assert answer.usage.prompt_tokens == tiny_llm.count_tokens(PROMPT)
    assert answer.usage.cached_tokens == 0
    assert answer.usage.completion_tokens == len(answer.tokens) == 20


def test_timings_add_up(tiny_llm: LLM) -> None:
    timings = tiny_llm.generate(PROMPT, max_tokens=20).timings
    assert min(timings.queue, timings.prompt, timings.per_token) > 0
    assert timings.queue + timings.prompt == pytest.approx(timings.first_token)
    assert timings.first_token + 19 * timings.per_token == pytest.approx(timings.total, rel=0.05)


def test_greedy_text_is_the_same_every_time(open_tiny: OpenTiny) -> None:
    texts = {open_tiny().generate(PROMPT, max_tokens=50, temp=0) for _ in range(3)}
    assert len(texts) == 1


def test_tokens_are_a_prompt_too(open_tiny: OpenTiny) -> None:
    from_text, from_tokens, from_array = open_tiny(), open_tiny(), open_tiny()
    tokens = from_text.tokenize(PROMPT)
    expected = from_text.generate(PROMPT, max_tokens=20, temp=0)
    assert from_tokens.generate(tokens, max_tokens=20, temp=0) == expected
    assert from_array.generate(np.array(tokens), max_tokens=20, temp=0) == expected


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint16", ">i4"])
def test_arrays_of_tokens(dtype: str, tiny_llm: LLM) -> None:
    tokens = tiny_llm.tokenize(PROMPT)
    array = np.array(tokens, dtype)
    assert tiny_llm.detokenize(array) == tiny_llm.detokenize(tokens)
    several = tiny_llm.generate([array, array[::-1]], max_tokens=1)
    assert [answer.usage.prompt_tokens for answer in several] == [len(tokens)] * 2


def test_control_tokens_in_a_prompt_are_recognised(tiny_llm: LLM) -> None:
    assert tiny_llm.tokenize("<|im_start|>") == [bpe_vocab().id("<|im_start|>")]
    answer = tiny_llm.generate("<|im_start|>", max_tokens=1)
    assert answer.usage.prompt_tokens == 1


def test_no_tokens_asked_for(tiny_llm: LLM) -> None:
    answer = tiny_llm.generate(PROMPT, max_tokens=0)
    assert (answer, answer.finish_reason, answer.tokens) == ("", "length", ())
    # The prompt was evaluated, so the next request finds all of it but the last token.
    again = tiny_llm.generate(PROMPT, max_tokens=1)
    assert again.usage.cached_tokens == again.usage.prompt_tokens - 1


@pytest.mark.parametrize("max_tokens", [None, 10_000])
def test_the_end_of_the_context(max_tokens: int | None, open_tiny: OpenTiny) -> None:
    llm = open_tiny(n_ctx=100)
    answer = llm.generate(PROMPT, max_tokens=max_tokens)
    assert answer.finish_reason == "length"
    # The last token is said, but need not be evaluated any more.
    assert answer.usage.prompt_tokens + answer.usage.completion_tokens == 101


def test_the_end_of_the_text(tiny_llm: LLM) -> None:
    answer = tiny_llm.generate(PROMPT, logit_bias=only(bpe_vocab().id("<|im_end|>")))
    assert (answer, answer.finish_reason, answer.stop_match) == ("", "stop", None)
    assert answer.usage.completion_tokens == 0
    assert answer.timings.first_token > 0


# --- Prompts that can't be served -----------------------------------------------------------------


def test_a_prompt_that_does_not_fit(open_tiny: OpenTiny) -> None:
    llm = open_tiny(n_ctx=64)
    with pytest.raises(
        ContextOverflowError, match=r"prompt has 65 tokens, but the context holds 64;.* n_ctx"
    ) as failure:
        llm.generate([300] * 65)
    assert (failure.value.n_prompt, failure.value.n_ctx) == (65, 64)
    assert llm.generate([300] * 64, max_tokens=5).usage.completion_tokens == 1


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("", "prompt must not be empty"),
        ([""], "prompt must not be empty"),
        (["hello", ""], "prompt must not be empty"),
        ([[]], "prompt must hold at least one token, got none"),
        ([-1], r"prompt holds token -1, but the vocabulary has 0 to \d+"),
        ([10**6], r"prompt holds token 1000000, but the vocabulary has 0 to \d+"),
        ([2**40], "there is no token 1099511627776"),
        ("half \udcff", "must not contain a lone surrogate, got 'half \\\\udcff'"),
        (None, "a prompt is text or token ids, or a list of either; got None"),
        (5, "a prompt is text or token ids, or a list of either; got 5"),
        (b"hello", "got b'hello'; decode it first"),
        ([b"hello"], "got b'hello'; decode it first"),
        ({"a": 1}, "a prompt is text or token ids, or a list of either; got {'a': 1}"),
        ({"a"}, "a prompt is text or token ids, or a list of either; got {'a'}"),
        (["hello", 5], "a prompt is text or token ids, or a list of either; got 5"),
        ([["hello"]], r"prompt must be a single prompt here, got a list: \['hello'\]"),
        (np.array([]), r"one-dimensional array of integers, got float64 of shape \(0,\)"),
        (np.array([[1, 2]]), r"got int64 of shape \(1, 2\); several prompts are a list"),
        (np.array([True]), "one-dimensional array of integers, got bool"),
        (np.array([2**40]), "there is no token 1099511627776"),
        (np.array([], "int32"), "prompt must hold at least one token, got none"),
        ([True], r"token ids must be whole numbers, got \[True\]"),
    ],
)
def test_a_prompt_that_is_none(prompt: Any, message: str, tiny_llm: LLM) -> None:
    with pytest.raises(ParameterError, match=message):
        tiny_llm.generate(prompt)
    assert tiny_llm.stats().requests == 0


def test_one_wrong_prompt_of_several_starts_none(open_tiny: OpenTiny) -> None:
    llm = open_tiny(n_ctx=64)
    with pytest.raises(ContextOverflowError, match="65 tokens"):
        llm.generate([[300], [300] * 65])
    assert llm.stats().requests == 0


@pytest.mark.parametrize("options", [{"streaming": True}, {"callback": print}])
def test_streams_and_callbacks_take_one_prompt(options: Any, tiny_llm: LLM) -> None:
    with pytest.raises(ParameterError, match="streaming and callback take one prompt, got a list"):
        tiny_llm.generate(["hello", "there"], **options)


# --- Many prompts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n_parallel", [1, 2, 8])
def test_answers_come_in_the_order_of_the_prompts(n_parallel: int, open_tiny: OpenTiny) -> None:
    llm = open_tiny(n_parallel=n_parallel)
    lengths = [9, 1, 4, 8, 2, 7, 3, 6, 5]
    answers = llm.generate([[300] * length for length in lengths], max_tokens=12)
    assert [answer.usage.prompt_tokens for answer in answers] == lengths
    assert all(answer.usage.completion_tokens == 12 for answer in answers)


def test_lists_of_text_and_of_tokens(tiny_llm: LLM) -> None:
    tokens = [tiny_llm.tokenize(text) for text in WORDS]
    mixed: list[Any] = [WORDS[0], *tokens[1:]]
    for prompts in (WORDS, tuple(WORDS), tokens, tuple(map(tuple, tokens)), mixed):
        answers: Any = tiny_llm.generate(prompts, max_tokens=2)
        assert isinstance(answers, list)
        assert [each.usage.prompt_tokens for each in answers] == [len(each) for each in tokens]


def test_a_list_of_one_and_of_none(tiny_llm: LLM) -> None:
    assert len(tiny_llm.generate([PROMPT], max_tokens=2)) == 1
    nothing: list[str] = []
    assert tiny_llm.generate(nothing, max_tokens=2) == []


def test_prompts_of_a_list_run_together(open_tiny: OpenTiny) -> None:
    llm = open_tiny(n_parallel=4)
    llm.generate([[300], [301], [302], [303]], max_tokens=100)
    assert llm.stats().steps < 2 * 100


# --- Stop strings ---------------------------------------------------------------------------------


@pytest.fixture
def spoken(open_tiny: OpenTiny) -> tuple[LLM, str]:
    """A model whose prefix is warm, and what it then says greedily."""
    llm = open_tiny()
    llm.generate(PROMPT, max_tokens=1, temp=0)
    return llm, llm.generate(PROMPT, max_tokens=60, temp=0)


@pytest.mark.parametrize("place", [0, 1, 7, 20, 40, 63])
@pytest.mark.parametrize("length", [1, 2, 5, 13])
def test_a_stop_string_ends_the_text(place: int, length: int, spoken: tuple[LLM, str]) -> None:
    llm, text = spoken
    stop = text[place : place + length]
    answer = llm.generate(PROMPT, max_tokens=60, temp=0, stop=stop)
    assert answer == text[: text.find(stop)]
    assert (answer.finish_reason, answer.stop_match) == ("stop", stop)


def test_the_first_of_several_stop_strings_counts(spoken: tuple[LLM, str]) -> None:
    llm, text = spoken
    stops = [text[50:55], text[12:18], text[30:33], "never said"]
    first = min(stops[:3], key=text.find)
    answer = llm.generate(PROMPT, max_tokens=60, temp=0, stop=stops)
    assert answer == text[: text.find(first)]
    assert answer.stop_match == first


def test_no_part_of_a_stop_string_leaks(spoken: tuple[LLM, str]) -> None:
    llm, text = spoken
    stop = text[20:45]
    pieces = list(llm.generate(PROMPT, max_tokens=60, temp=0, stop=stop, streaming=True))
    assert "".join(pieces) == text[: text.find(stop)]
    assert all(pieces)


def test_what_only_looked_like_a_stop_string_is_said(spoken: tuple[LLM, str]) -> None:
    llm, text = spoken
    answer = llm.generate(PROMPT, max_tokens=60, temp=0, stop=text[-3:] + " and more")
    assert answer == text
    assert (answer.finish_reason, answer.stop_match) == ("length", None)
    assert answer.usage.completion_tokens == len(answer.tokens) == 60


def test_what_was_held_back_is_said_at_the_end_of_the_text(tiny_llm: LLM) -> None:
    vocab = bpe_vocab()
    word, end = vocab.id("hello"), vocab.id("<|im_end|>")
    # The word twice, and then the end has become more probable.
    bias = {word: 1000.0, end: 900.0}
    answer = tiny_llm.generate(
        PROMPT, temp=0, logit_bias=bias, frequency_penalty=60, stop="hellohellohello"
    )
    assert (answer, answer.finish_reason, answer.stop_match) == ("hellohello", "stop", None)
    assert answer.tokens == (word, word)
    assert answer.usage.completion_tokens == 2


# --- Seeds ----------------------------------------------------------------------------------------


def sampled(llm: LLM, seed: int | None) -> Completion:
    return llm.generate(PROMPT, max_tokens=40, temp=1.5, seed=seed)


@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**64 - 1])
def test_the_same_seed_gives_the_same_text(seed: int, open_tiny: OpenTiny) -> None:
    first, second = (sampled(open_tiny(n_parallel=1), seed) for _ in range(2))
    assert first == second
    assert first.seed == second.seed == seed


def test_other_seeds_give_other_texts(open_tiny: OpenTiny) -> None:
    assert len({sampled(open_tiny(n_parallel=1), seed) for seed in range(5)}) == 5


def test_each_of_many_prompts_has_a_seed_of_its_own_unless_one_is_given(
    open_tiny: OpenTiny,
) -> None:
    llm = open_tiny()
    new = llm.generate([PROMPT] * 4, max_tokens=40, temp=1.5)
    assert len({answer.seed for answer in new}) == len(set(new)) == 4
    same = llm.generate([PROMPT] * 4, max_tokens=4, temp=1.5, seed=7)
    assert {answer.seed for answer in same} == {7}


def test_the_reported_seed_gives_the_text_again(open_tiny: OpenTiny) -> None:
    first = sampled(open_tiny(n_parallel=1), None)
    assert sampled(open_tiny(n_parallel=1), first.seed) == first


def test_without_a_seed_every_call_differs(open_tiny: OpenTiny) -> None:
    llm = open_tiny(n_parallel=1)
    answers = [sampled(llm, None) for _ in range(4)]
    assert len(set(answers)) == len({answer.seed for answer in answers}) == 4


# --- Many callers ---------------------------------------------------------------------------------


def test_threads_on_one_object_get_their_own_answers(open_tiny: OpenTiny) -> None:
    llm = open_tiny(n_parallel=4)

    def ask(caller: int) -> None:
        token = 300 + caller
        for length in (1, 17, 5):
            answer = llm.generate([token] * length, max_tokens=30, logit_bias=only(token))
            assert answer.tokens == (token,) * 30
            assert answer.usage.prompt_tokens == length

    with ThreadPoolExecutor(16) as callers:
        list(callers.map(ask, range(16)))
    stats = llm.stats()
    assert (stats.requests, stats.sequences_active, stats.waiting) == (48, 0, 0)
    assert stats.completion_tokens == 48 * 30
    assert stats.steps < 48 * 30 / 2  # They did run together.


@pytest.mark.parametrize("text", [None, 5, b"hello"])
def test_what_is_no_text_has_no_tokens(text: Any, tiny_llm: LLM) -> None:
    for call in (tiny_llm.tokenize, tiny_llm.count_tokens):
        with pytest.raises(ParameterError, match="text must be a str, got "):
            call(text)


def test_a_list_is_not_one_prompt(tiny_llm: LLM) -> None:
    prompts: Any = ["hello", "there"]
    with pytest.raises(ParameterError, match="prompt must be a single prompt here, got a list"):
        asyncio.run(tiny_llm.agenerate(prompts))


@pytest.mark.parametrize("copies", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_model_is_not_copied(copies: Callable[[LLM], object], tiny_llm: LLM) -> None:
    with pytest.raises(TypeError, match="a loaded model can't be pickled or copied: share it"):
        copies(tiny_llm)


def test_a_bias_that_bans_every_token_is_named(tiny_llm: LLM) -> None:
    everything = dict.fromkeys(range(len(bpe_vocab().tokens)), float("-inf"))
    with pytest.raises(EngineError, match=r"no probabilities: .* logit_bias bans every token"):
        tiny_llm.generate(PROMPT, logit_bias=everything)
