"""How likely a model finds its answers, and texts that it is given."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmlocal import LLM, ContextOverflowError, EngineClosedError, ParameterError

from ..conftest import OpenTiny
from ..tiny_models import llama
from ..tiny_vocab import bpe_vocab
from .waiting import wait_until

PROMPT = "the quick brown fox"


def test_an_answer_has_none_unless_asked_for(tiny_llm: LLM) -> None:
    assert tiny_llm.generate(PROMPT, max_tokens=3).logprobs is None


@pytest.mark.parametrize("count", [0, 5, 20])
def test_each_token_has_its_logprob_and_the_best(tiny_llm: LLM, count: int) -> None:
    answer = tiny_llm.generate(PROMPT, max_tokens=12, logprobs=count, temp=1.5, top_k=0, seed=1)
    assert answer.logprobs is not None
    assert [each.id for each in answer.logprobs] == list(answer.tokens)
    assert b"".join(each.bytes for each in answer.logprobs).decode(errors="replace") == answer
    for each in answer.logprobs:
        assert each.logprob <= 0
        assert len(each.top) == count
        best = [other.logprob for other in each.top]
        assert best == sorted(best, reverse=True)
        assert sum(map(math.exp, best)) <= 1 + 1e-6
        assert all(other.text == other.bytes.decode(errors="replace") for other in each.top)
        same = [other.logprob for other in each.top if other.id == each.id]
        assert same in ([], [each.logprob])


def test_a_cold_answer_is_the_best_of_each(tiny_llm: LLM) -> None:
    answer = tiny_llm.generate(PROMPT, max_tokens=12, logprobs=1, temp=0)
    assert answer.logprobs is not None
    assert [each.top[0].id for each in answer.logprobs] == list(answer.tokens)


def test_they_are_the_models_whatever_the_options_make_of_them(tiny_llm: LLM) -> None:
    plain = tiny_llm.generate(PROMPT, max_tokens=1, temp=0, logprobs=2).logprobs
    assert plain is not None
    best, second = plain[0].top
    options: dict[str, Any] = {"logit_bias": {best.id: -100.0}, "temp": 0.1, "top_k": 1}
    pushed = tiny_llm.generate(PROMPT, max_tokens=1, logprobs=2, **options).logprobs
    assert pushed is not None
    assert pushed[0].id == second.id
    assert pushed[0].logprob == pytest.approx(second.logprob, abs=1e-5)
    assert [each.id for each in pushed[0].top] == [best.id, second.id]


def test_streams_have_them_as_they_come(tiny_llm: LLM) -> None:
    stream = tiny_llm.generate(PROMPT, max_tokens=8, logprobs=2, seed=3, streaming=True)
    seen = [stream.logprobs for _ in stream]
    assert seen[-1] is not None
    assert seen[-1][:1] == (seen[0] or ())[:1]
    assert stream.logprobs == stream.result.logprobs

    async def ask() -> None:
        pieces = tiny_llm.astream(PROMPT, max_tokens=8, logprobs=2, seed=3)
        async for _ in pieces:
            pass
        result = await pieces.result()
        assert result.logprobs == pieces.logprobs
        assert result.logprobs is not None
        assert [each.id for each in result.logprobs] == list(result.tokens)

    asyncio.run(ask())


def test_lists_and_chats_have_them(tiny_llm: LLM) -> None:
    for answer in tiny_llm.generate([PROMPT, "hello"], max_tokens=3, logprobs=1):
        assert answer.logprobs is not None
        assert len(answer.logprobs) == 3
    reply = tiny_llm.chat("hello", template="{{ messages[0].content }}", max_tokens=3, logprobs=1)
    assert reply.logprobs is not None
    assert len(reply.logprobs) == 3


@pytest.mark.parametrize("value", [-1, 21, 1.5, True, "5"])
def test_numbers_out_of_range_are_refused(tiny_llm: LLM, value: Any) -> None:
    with pytest.raises(ParameterError, match="logprobs must be"):
        tiny_llm.generate(PROMPT, logprobs=value)


# --- Scores ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["llama", "gemma", "mamba", "jamba"])
def test_a_score_is_what_the_answer_had(open_tiny: OpenTiny, model: str) -> None:
    llm = open_tiny(model)
    prompt = llm.tokenize(PROMPT)
    answer = llm.generate(prompt, max_tokens=15, temp=0, logprobs=0)
    assert answer.logprobs is not None
    text = b"".join(each.bytes for each in answer.logprobs).decode(errors="ignore")
    score = llm.score(text, after=prompt)
    n = min(len(score.tokens), len(answer.tokens))
    same = n if score.tokens.tolist()[:n] == list(answer.tokens)[:n] else 0
    for i in range(same):
        assert score.logprobs[i] == pytest.approx(answer.logprobs[i].logprob, abs=2e-3)
    assert score.is_greedy[:same].all()


def test_a_score_adds_up(tiny_llm: LLM) -> None:
    score = tiny_llm.score("one two three four five", after="hello ")
    assert score.tokens.dtype == np.int32
    assert score.logprobs.dtype == np.float64
    assert score.is_greedy.dtype == np.bool_
    assert len(score.tokens) == len(score.logprobs) == len(score.is_greedy) > 3
    assert score.sum == pytest.approx(score.logprobs.sum())
    assert score.perplexity == pytest.approx(np.exp(-score.logprobs.mean()))


def test_parts_of_a_text_add_up_to_the_whole(tiny_llm: LLM) -> None:
    tokens = tiny_llm.tokenize("one two three four five six seven")
    texts = [tiny_llm.detokenize([token]) for token in tokens]
    whole = tiny_llm.score("".join(texts))
    in_place = [
        tiny_llm.score(text, after="".join(texts[:i])) for i, text in enumerate(texts) if i > 0
    ]
    assert whole.tokens.tolist()[-len(in_place) :] == [int(s.tokens[0]) for s in in_place]
    assert whole.logprobs[-len(in_place) :] == pytest.approx(
        [float(s.logprobs[0]) for s in in_place], abs=2e-3
    )


def test_the_first_token_is_scored_where_texts_have_a_beginning(
    open_tiny: OpenTiny, tmp_path: Path
) -> None:
    bare, begins = (
        open_tiny(),
        open_tiny(llama(vocab=bpe_vocab(add_bos=True)).write(tmp_path / "b")),
    )
    text = "one two three"
    n = len(bare.tokenize(text))
    assert len(bare.score(text).tokens) == n - 1
    assert len(begins.score(text).tokens) == n
    bos = begins.tokenize("")
    assert begins.score(text).logprobs == pytest.approx(bare.score(text, after=bos).logprobs)


def test_many_texts_share_what_comes_before_them(open_tiny: OpenTiny) -> None:
    llm = open_tiny(n_parallel=4)
    before = " ".join(["a model reads the tokens"] * 12) + " "
    texts = ["hello", "the quick brown", "one two three four five", "fox", "jumps over", "dog"]
    scores = llm.score(texts, after=before)
    evaluated = llm.stats().prompt_tokens
    assert evaluated < llm.count_tokens(before) + sum(map(llm.count_tokens, texts)) + 4 * 20
    alone = open_tiny(n_parallel=1)
    for text, score in zip(texts, scores, strict=True):
        expected = alone.score(text, after=before)
        assert score.tokens.tolist() == expected.tokens.tolist()
        assert score.logprobs == pytest.approx(expected.logprobs, abs=2e-3)
    each = llm.score(texts, after=[before] * len(texts))
    assert [s.sum for s in each] == pytest.approx([s.sum for s in scores], abs=5e-3)


def test_a_token_across_the_border_belongs_to_the_text(tiny_llm: LLM) -> None:
    whole = tiny_llm.tokenize("the quick brown")
    assert tiny_llm.detokenize(whole) == "the quick brown"
    for cut in range(3, 14):
        before, text = "the quick brown"[:cut], "the quick brown"[cut:]
        score = tiny_llm.score(text, after=before)
        assert whole[-len(score.tokens) :] == score.tokens.tolist()
        assert text in tiny_llm.detokenize(score.tokens.tolist())


def test_ids_are_scored_as_their_text(tiny_llm: LLM) -> None:
    text = "the quick brown"
    ids = tiny_llm.tokenize(text, add_special=False)
    by_ids, by_text = tiny_llm.score(ids), tiny_llm.score(text)
    assert by_ids.tokens.tolist() == by_text.tokens.tolist()
    assert by_ids.logprobs == pytest.approx(by_text.logprobs)
    several = tiny_llm.score([ids, ids[:-1]], after=ids[:2])
    assert [len(each.tokens) for each in several] == [len(ids), len(ids) - 1]


def test_the_likeliest_come_with_each_token(tiny_llm: LLM) -> None:
    score = tiny_llm.score("the quick brown", logprobs=3)
    assert len(score.per_token) == len(score.tokens)
    for i, each in enumerate(score.per_token):
        assert each.id == score.tokens[i]
        assert each.logprob == score.logprobs[i]
        assert tiny_llm.detokenize([each.id], special=True) == each.text
        assert len(each.top) == 3
        assert (each.top[0].logprob <= each.logprob) == score.is_greedy[i]
    assert all(each.top == () for each in tiny_llm.score("the quick brown").per_token)
    with pytest.raises(ParameterError, match="logprobs"):
        tiny_llm.score("a b", logprobs=21)


def test_scoring_in_a_task_can_be_cancelled(tiny_llm: LLM) -> None:
    async def main() -> None:
        score = await tiny_llm.ascore(" fox", after="the quick brown", logprobs=1)
        expected = tiny_llm.score(" fox", after="the quick brown")
        assert score.logprobs == pytest.approx(expected.logprobs, abs=2e-3)
        task = asyncio.ensure_future(tiny_llm.ascore("a b " * 200))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    wait_until(lambda: tiny_llm.stats().sequences_active == 0)


def test_what_can_not_be_scored_is_refused(tiny_llm: LLM) -> None:
    wrong: Any
    for wrong in ("", 5, "\ud800", [0.5], [2**31], None):
        with pytest.raises(ParameterError):
            tiny_llm.score(wrong)
    with pytest.raises(ParameterError, match="2 texts, but 1 of after="):
        tiny_llm.score(["a", "b"], after=["a"])
    with pytest.raises(ContextOverflowError):
        tiny_llm.score("a b " * 600)
    nothing: list[str] = []
    assert tiny_llm.score(nothing) == []
    tiny_llm.close()
    with pytest.raises(EngineClosedError):
        tiny_llm.score("a")
