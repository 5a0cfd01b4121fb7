"""The constraint begins where the answer does."""

from __future__ import annotations

from typing import Any

import pytest

from llmlocal import LLM, SchemaError

from ..tiny_vocab import bpe_vocab

OPENS = "{{ messages[-1].content }}<think>\n"
SCHEMA = {"type": "array", "items": {"type": "boolean"}, "maxItems": 2}


def free(llm: LLM) -> dict[int, float]:
    """No ends, no tags, and none of the bytes that are only a part of a character."""
    return dict.fromkeys([*bpe_vocab().unprintable(), llm.tokenize("<")[-1]], -1000.0)


@pytest.mark.parametrize("budget", [0, 6])
def test_the_answer_obeys_and_the_reasoning_does_not(vocabulary_llm: LLM, budget: int) -> None:
    options: dict[str, Any] = {"template": OPENS, "logit_bias": free(vocabulary_llm)}
    reply = vocabulary_llm.chat(
        "hello", schema=SCHEMA, reasoning_budget=budget, max_tokens=100, **options
    )
    assert reply.finish_reason == "stop"
    assert isinstance(reply.parsed, list)
    assert bool(reply.reasoning) == bool(budget)
    with vocabulary_llm.chat(
        "hello", choices=["yes", "no"], reasoning_budget=budget, streaming=True, **options
    ) as stream:
        seen = [stream.partial for _ in stream]
        assert seen[-1] in ("yes", "no")
        assert stream.result.parsed in ("yes", "no")
    cut = vocabulary_llm.chat("hello", schema=SCHEMA, max_tokens=9, **options)
    assert cut.finish_reason == "length"
    assert cut.parsed is None
    assert cut == ""


def test_an_answer_that_fails_leaves_the_session_free(vocabulary_llm: LLM) -> None:
    session = vocabulary_llm.chat_session(template=OPENS, logit_bias=free(vocabulary_llm))
    options: dict[str, Any] = {
        "schema": {"const": 1, "not": {"const": 1}},
        "unsupported": "validate",
        "reasoning_budget": 1,
    }
    with pytest.raises(SchemaError, match="could only be checked") as caught:
        session.generate("hello", **options)
    assert caught.value.answer == "1"
    with (
        pytest.raises(SchemaError),
        session.generate("hello", streaming=True, **options) as stream,
    ):
        list(stream)
    assert session.history == []
    assert session.generate("hello", choices=["yes"], reasoning_budget=1).parsed == "yes"
