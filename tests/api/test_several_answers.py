"""Several answers to one prompt, filling in, and how far a prompt is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from llmlocal import LLM, ParameterError, RequestError

from ..conftest import OpenTiny
from ..tiny_models import fill_in_model

PROMPT = " ".join(["the quick brown fox jumps over the lazy dog"] * 4)
TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"


def test_n_answers_have_a_seed_each(tiny_llm: LLM) -> None:
    answers = tiny_llm.generate(PROMPT, n=4, max_tokens=10, temp=1.5)
    assert len(answers) == 4
    assert len({answer.seed for answer in answers}) == 4
    assert len(set(answers)) > 1


def test_the_prompt_is_evaluated_once(tiny_llm: LLM) -> None:
    tiny_llm.generate(PROMPT, n=4, max_tokens=2)
    # At least the last token of each is evaluated, for its logits.
    assert tiny_llm.stats().prompt_tokens <= tiny_llm.count_tokens(PROMPT) + 3


def test_with_a_seed_each_can_be_had_alone(tiny_llm: LLM) -> None:
    options: dict[str, Any] = {"max_tokens": 10, "temp": 1.5}
    answers = tiny_llm.generate(PROMPT, n=3, seed=2**64 - 2, **options)
    assert [answer.seed for answer in answers] == [2**64 - 2, 2**64 - 1, 0]
    assert answers == tiny_llm.generate(PROMPT, n=3, seed=2**64 - 2, **options)


def test_a_list_of_prompts_has_n_answers_each(tiny_llm: LLM) -> None:
    answers = tiny_llm.generate([PROMPT, "hello"], n=2, max_tokens=3, temp=0)
    assert [len(each) for each in answers] == [2, 2]
    assert answers[0][0].usage.prompt_tokens == tiny_llm.count_tokens(PROMPT)
    assert answers[1][0].usage.prompt_tokens == tiny_llm.count_tokens("hello")
    assert tiny_llm.generate("hello", n=1, max_tokens=3, temp=0) == answers[1][:1]


def test_chats_have_them_too(tiny_llm: LLM) -> None:
    replies = tiny_llm.chat(PROMPT, n=3, template=TEMPLATE, max_tokens=5, temp=1.5, seed=4)
    assert [reply.seed for reply in replies] == [4, 5, 6]
    session = tiny_llm.chat_session(template=TEMPLATE, messages=[{"role": "user", "content": "q"}])
    assert len(session.answers(2, max_tokens=3)) == 2
    assert len(session.history) == 1


@pytest.mark.parametrize("n", [0, -1, 257, 1.5, "2"])
def test_other_numbers_are_refused(tiny_llm: LLM, n: Any) -> None:
    with pytest.raises(ParameterError, match="n must be"):
        tiny_llm.generate(PROMPT, n=n)
    with pytest.raises(ParameterError, match="n must be"):
        tiny_llm.chat(PROMPT, n=n, template=TEMPLATE)


def test_several_answers_are_no_stream(tiny_llm: LLM) -> None:
    several: Any = {"n": 2}
    with pytest.raises(ParameterError, match="one answer"):
        tiny_llm.generate(PROMPT, streaming=True, **several)
    with pytest.raises(ParameterError, match="one answer"):
        tiny_llm.chat(PROMPT, template=TEMPLATE, callback=print, **several)


# --- Filling in -----------------------------------------------------------------------------------


def test_infill_puts_the_texts_between_the_models_own_tokens(
    open_tiny: OpenTiny, tmp_path: Path
) -> None:
    llm = open_tiny(fill_in_model(tmp_path))
    ids = [llm.tokenize(text)[-1] for text in ("<|im_start|>", "<|eom_id|>", "<tool_call>")]
    prompt = [
        ids[0],
        *llm.tokenize("the quick", add_special=False),
        ids[1],
        *llm.tokenize("brown <|im_end|>", add_special=False, parse_special=False),
        ids[2],
    ]
    filled = llm.infill("the quick", "brown <|im_end|>", max_tokens=8, temp=0)
    assert filled == llm.generate(prompt, max_tokens=8, temp=0)
    assert filled.usage.prompt_tokens == len(prompt)
    assert llm.infill("", "", max_tokens=2).usage.prompt_tokens == 3


def test_a_model_that_can_not_fill_in_says_what_it_lacks(tiny_llm: LLM) -> None:
    with pytest.raises(RequestError, match="token for prefix, suffix, middle"):
        tiny_llm.infill("a", "b")


# --- How far a prompt is --------------------------------------------------------------------------


def test_a_long_prompt_tells_how_far_it_is(open_tiny: OpenTiny) -> None:
    llm = open_tiny(n_batch=16)
    told: list[tuple[int, int]] = []
    llm.generate(PROMPT, max_tokens=2, on_prompt=lambda done, total: told.append((done, total)))
    total = llm.count_tokens(PROMPT)
    assert told[-1] == (total, total)
    assert told == sorted(told)
    told.clear()
    stream = llm.generate(
        PROMPT + " and",
        max_tokens=2,
        streaming=True,
        on_prompt=lambda done, total: told.append((done, total)),
    )
    list(stream)
    assert told[-1][0] == told[-1][1] == llm.count_tokens(PROMPT + " and")
    told.clear()

    async def ask() -> None:
        await llm.agenerate(
            "hello " + PROMPT,
            max_tokens=2,
            on_prompt=lambda done, total: told.append((done, total)),
        )

    asyncio.run(ask())
    assert told[-1][0] == told[-1][1]


def test_who_is_told_may_end_it(tiny_llm: LLM) -> None:
    answer = tiny_llm.generate(PROMPT, on_prompt=lambda *_: False, max_tokens=None)
    assert answer.finish_reason == "cancelled"
    assert answer == ""

    def fails(done: int, total: int) -> None:
        raise RuntimeError(f"{done} of {total}")

    with pytest.raises(RuntimeError, match="of"):
        tiny_llm.generate(PROMPT, on_prompt=fails, max_tokens=None)
    wrong: Any = 5
    with pytest.raises(ParameterError, match="on_prompt must be a function"):
        tiny_llm.generate(PROMPT, on_prompt=wrong)


def test_a_session_that_tells_can_be_saved(tiny_llm: LLM) -> None:
    session = tiny_llm.chat_session(template=TEMPLATE, on_prompt=lambda *_: None, max_tokens=3)
    session.generate("hello")
    assert "on_prompt" not in session.to_json()
