"""The sampler's short cuts choose what the whole of llama.cpp's chain chooses, token by token."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llmlocal import _core

from .conftest import VOCAB_SIZE
from .samplers import Logits, cut_is_near, make_sampler

few = st.integers(0, 2**32).map(np.random.default_rng)


@st.composite
def distributions(draw: st.DrawFn) -> Logits:
    """Logits from flat to sharp, some of them banned and some not a number."""
    random = draw(few)
    logits = random.normal(0, draw(st.sampled_from([0.1, 1, 3, 10])), VOCAB_SIZE)
    logits += draw(st.sampled_from([-100, 0, 30]))
    places = random.permutation(VOCAB_SIZE)
    logits[places[: draw(st.sampled_from([0, 1, 100, VOCAB_SIZE - 60]))]] = -np.inf
    logits[places[-draw(st.sampled_from([1, 2, 50])) :]] = draw(st.sampled_from([-np.inf, np.nan]))
    return logits.astype(np.float32)


@st.composite
def tied_distributions(draw: st.DrawFn) -> Logits:
    """The same, but of few different values."""
    steps = draw(st.sampled_from([1.0, 0.25]))
    return (np.round(draw(distributions()) * steps) / steps).astype(np.float32)


def shares(*special: float) -> st.SearchStrategy[float]:
    return st.sampled_from(special) | st.floats(0.01, 0.999)


OPTIONS = st.fixed_dictionaries(
    {
        "temp": st.sampled_from([0.7, 1.0]) | st.floats(0.05, 3),
        "top_k": st.sampled_from([0, 2, 40, 1023, 1024, 1025, VOCAB_SIZE, 10 * VOCAB_SIZE]),
        "top_p": shares(1.0, 0.95),
        "min_p": shares(0.0, 0.05),
        "seed": st.integers(0, 2**64 - 1),
    },
    optional={
        "typical_p": shares(1.0),
        "repeat_penalty": st.floats(0.5, 2),
        "frequency_penalty": st.floats(-1, 1),
        "presence_penalty": st.floats(-1, 1),
        "repeat_last_n": st.sampled_from([0, 1, 5, 64]),
        "xtc_probability": st.floats(0, 1),
        "xtc_threshold": st.floats(0, 0.6),
        "logit_bias": st.lists(
            st.tuples(
                st.integers(0, VOCAB_SIZE - 1),
                st.floats(-100, 100) | st.just(float("-inf")),
            ),
            max_size=5,
            unique_by=lambda entry: entry[0],
        ),
    },
)
PROMPTS = st.lists(st.integers(0, VOCAB_SIZE - 1), max_size=80)


def both_ways(
    model: _core.Model, options: dict[str, Any], prompt: list[int], logits: Logits, count: int
) -> list[list[int]]:
    return [
        make_sampler(model, options, prompt=prompt, short_cuts=short_cuts).sample_many(
            logits, count
        )
        for short_cuts in (True, False)
    ]


def test_short_cuts_without_ties(vocab_model: _core.Model) -> None:
    found = 0

    @settings(max_examples=150, deadline=None)
    @given(logits=distributions(), options=OPTIONS, prompt=PROMPTS)
    def same_tokens(logits: Logits, options: dict[str, Any], prompt: list[int]) -> None:
        nonlocal found
        finite = logits[np.isfinite(logits)]
        assume(len(np.unique(finite)) == len(finite))
        assume(options["top_k"] > 0 or not cut_is_near(logits, options["top_p"]))
        short, whole = both_ways(vocab_model, options, prompt, logits, 30)
        assert short == whole
        found += len(set(short)) > 5

    same_tokens()
    assert found > 20  # Many a distribution left a choice.


def test_short_cuts_with_ties(vocab_model: _core.Model) -> None:
    # Which of several equals is cut off, llama.cpp leaves open: so what counts is the logit.
    @settings(max_examples=150, deadline=None)
    @given(logits=tied_distributions(), options=OPTIONS, prompt=PROMPTS)
    def same_logits(logits: Logits, options: dict[str, Any], prompt: list[int]) -> None:
        assume(options["top_k"] > 0 or not cut_is_near(logits, options["top_p"], 1e-3))
        plain = {
            name: value
            for name, value in options.items()
            if "penalty" not in name and name != "logit_bias"
        }
        short, whole = both_ways(vocab_model, plain, prompt, logits, 30)
        assert logits[short].tolist() == logits[whole].tolist()

    same_logits()
