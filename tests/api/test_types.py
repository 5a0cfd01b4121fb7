"""A completion is a string, everywhere a string goes, and keeps its facts."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import FrozenInstanceError

import pytest

from llmlocal import Completion, Timings, Usage

FACTS = Completion(
    " Paris.",
    finish_reason="stop",
    stop_match="\n",
    usage=Usage(5, 4, 3),
    timings=Timings(0.1, 0.2, 0.3, 0.4, 0.5),
    seed=2**64 - 1,
    tokens=(7, 8, 9),
)


def test_it_is_a_string() -> None:
    assert isinstance(FACTS, str)
    assert FACTS == " Paris."
    assert hash(FACTS) == hash(" Paris.")
    assert {" Paris.": 1}[FACTS] == 1
    assert FACTS.strip() + "!" == "Paris.!"
    assert f"{FACTS:>9}" == "   Paris."
    assert json.dumps({"answer": FACTS}) == '{"answer": " Paris."}'
    assert repr(FACTS) == "' Paris.'"
    assert type(str(FACTS)) is str


@pytest.mark.parametrize(
    "copied",
    [
        copy.copy(FACTS),
        copy.deepcopy(FACTS),
        *(pickle.loads(pickle.dumps(FACTS, protocol)) for protocol in range(2, 6)),
    ],
)
def test_a_copy_keeps_the_facts(copied: Completion) -> None:
    assert copied == FACTS
    assert type(copied) is Completion
    assert vars(copied) == vars(FACTS)


def test_it_knows_its_facts() -> None:
    assert vars(FACTS) == {
        "finish_reason": "stop",
        "stop_match": "\n",
        "usage": Usage(5, 4, 3),
        "timings": Timings(0.1, 0.2, 0.3, 0.4, 0.5),
        "seed": 2**64 - 1,
        "tokens": (7, 8, 9),
        "logprobs": None,
        "parsed": None,
    }


def test_there_are_no_other_facts() -> None:
    with pytest.raises(TypeError, match="finsh_reason"):
        Completion("text", finsh_reason="stop")  # type: ignore[call-arg]  # what must fail


def test_without_facts() -> None:
    empty = Completion()
    assert empty == ""
    assert empty.finish_reason == "stop"
    assert empty.stop_match is None
    assert empty.usage == Usage(0, 0, 0)
    assert empty.timings == Timings(0, 0, 0, 0, 0)
    assert (empty.seed, empty.tokens) == (0, ())


def test_usage_and_timings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError, match="prompt_tokens"):
        FACTS.usage.prompt_tokens = 1  # type: ignore[misc]  # what must fail
    with pytest.raises(FrozenInstanceError, match="total"):
        FACTS.timings.total = 1  # type: ignore[misc]  # what must fail
