"""Reasoning that takes too long is ended, and the answer goes on."""

from __future__ import annotations

from typing import Any

import pytest

from llmlocal import LLM, ParameterError, _core

from ..tiny_vocab import bpe_vocab

OPENS = "{{ messages[-1].content }}<think>\n"
MAY_OPEN = "{{ messages[-1].content }}{# <think> #}"


def tokens_of(llm: LLM, text: str) -> int:
    return len(llm.tokenize(text, add_special=False))


@pytest.mark.parametrize("budget", [0, 1, 7, 30])
def test_reasoning_ends_with_its_budget(tiny_llm: LLM, budget: int) -> None:
    raw: list[str] = []

    def told(_: int, text: str) -> None:
        raw.append(text)

    reply = tiny_llm.chat(
        "hello",
        template=OPENS,
        reasoning_budget=budget,
        max_tokens=80,
        callback=told,
        # No ends, no tags, and none of the bytes that are only a part of a character.
        logit_bias=dict.fromkeys([*bpe_vocab().unprintable(), tiny_llm.tokenize("<")[-1]], -1000.0),
        seed=5,
    )
    text = "".join(raw)
    assert "\n</think>\n\n" in text
    before = text.partition("\n</think>\n\n")[0]
    closing = tokens_of(tiny_llm, "\n</think>\n\n")
    assert tokens_of(tiny_llm, before) <= budget
    assert reply.usage.completion_tokens == 80
    assert reply.reasoning == before.strip("\n")
    assert reply
    assert len(reply.tokens) - closing - budget > 0


def test_without_a_budget_it_goes_on(tiny_llm: LLM) -> None:
    bias = dict.fromkeys([*bpe_vocab().unprintable(), tiny_llm.tokenize("<")[-1]], -1000.0)
    reply = tiny_llm.chat("hello", template=OPENS, max_tokens=60, logit_bias=bias)
    assert reply == ""
    assert reply.reasoning


def test_sessions_and_streams_have_it_too(tiny_llm: LLM) -> None:
    session = tiny_llm.chat_session(template=OPENS, reasoning_budget=2, max_tokens=40)
    with session.generate("hello", streaming=True) as stream:
        kinds = [kind for kind, _ in stream.parts()]
    assert "answer" in kinds
    assert "reasoning_budget" in session.to_json()
    assert tiny_llm.chat("hello", template=OPENS, reasoning_budget=0, max_tokens=40).reasoning == ""


def test_a_template_that_knows_no_reasoning_has_none_to_end(tiny_llm: LLM) -> None:
    options: dict[str, Any] = {"max_tokens": 20, "temp": 0}
    plain = tiny_llm.chat("hello", template="{{ messages[-1].content }}", **options)
    assert (
        tiny_llm.chat("hello", template="{{ messages[-1].content }}", reasoning_budget=0, **options)
        == plain
    )
    assert tiny_llm.chat("hello", template=MAY_OPEN, reasoning_budget=0, **options) == plain


def test_what_makes_no_sense_is_refused(tiny_llm: LLM) -> None:
    with pytest.raises(ParameterError, match="reasoning_budget= is for chats"):
        tiny_llm.generate("hello", reasoning_budget=3)
    wrong: Any
    for wrong in (-1, 1.5, True):
        with pytest.raises(ParameterError, match="reasoning_budget must be"):
            tiny_llm.chat("hello", template=OPENS, reasoning_budget=wrong)


def test_the_answer_after_it_is_held_to_a_mask(tiny_llm: LLM) -> None:
    """As a constraint is: the engine's own part, without a compiler of constraints."""
    tokenizer = _core.Tokenizer(tiny_llm._open_model())
    letter = tokenizer.encode([("q", True)], add_special=False)
    reasoning = _core.ReasoningFormat(
        tokenizer, opening="<think>", closing="</think>", direct="", pad="\n"
    )
    mask = _core.ReasoningMask(reasoning, _core.FixedMask(letter), is_open=True, budget=3)
    spec = _core.RequestSpec(
        tiny_llm.tokenize("hello"),
        sampling=_core.SamplingParams(),
        max_tokens=40,
        stops=_core.StopStrings([]),
        timeout=None,
        mask=mask,
    )
    [request] = tiny_llm._generator._engine.submit([spec])
    events: list[Any] = []
    outcome = None
    while outcome is None:
        outcome, _ = request.read(events, 1000, until_end=True)
    outcome.raise_error()
    _, _, answer = "".join(piece for _, piece, _ in events).partition("</think>")
    assert set(answer.strip("\n")) == {"q"}
    with pytest.raises(ParameterError, match="a mask follows one answer"):
        tiny_llm._generator._engine.submit([spec])
