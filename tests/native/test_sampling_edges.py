"""Greedy choices, seeds, and numbers that are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llmlocal import EngineError, _core

from .conftest import VOCAB_SIZE
from .samplers import OFF, Logits, make_sampler

WAYS: dict[str, dict[str, Any]] = {
    "greedy": {"temp": 0.0},
    "greedy by top-k": {"top_k": 1},
    "greedy with DRY": {"temp": 0.0, "dry_multiplier": 0.5},
    "top-k": {},
    "top-p": {"top_k": 0},
    "whole": {**OFF},
    "typical": {"typical_p": 0.5},
    "top-n-sigma": {"top_n_sigma": 1.0},
    "DRY": {"dry_multiplier": 0.5},
    "XTC": {"xtc_probability": 1.0},
    "Mirostat": {"mirostat": 1},
    "Mirostat 2": {"mirostat": 2},
}
every_way = pytest.mark.parametrize("way", WAYS)

ODD_NUMBERS = (np.nan, -np.inf, 3.4e38, -3.4e38, 1e-45, 0.0, 1.0, 1.0000001, 80.0, -1000.0)


@st.composite
def odd_logits(draw: st.DrawFn) -> Logits:
    """What a broken model may put out: a few kinds of numbers, in any mixture."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    kinds = draw(st.lists(st.sampled_from(ODD_NUMBERS), min_size=1, max_size=4))
    logits = random.choice(kinds, VOCAB_SIZE)
    if draw(st.booleans()):
        logits[random.integers(0, VOCAB_SIZE, 20)] = random.normal(0, 5, 20)
    return logits.astype(np.float32)


def ramp() -> Logits:
    return np.linspace(-20, 0, VOCAB_SIZE, dtype=np.float32)


@pytest.mark.parametrize("way", ["greedy", "greedy by top-k", "greedy with DRY"])
def test_greedy_takes_the_best(way: str, vocab_model: _core.Model) -> None:
    @settings(max_examples=60, deadline=None)
    @given(logits=odd_logits())
    def takes_the_best(logits: Logits) -> None:
        best = int(np.argmax(np.nan_to_num(logits, nan=-np.inf)))
        assume(logits[best] > -np.inf)
        [token] = make_sampler(vocab_model, WAYS[way]).sample_many(logits, 1)
        assert logits[token] == logits[best]

    takes_the_best()


def test_greedy_takes_the_first_of_equals(vocab_model: _core.Model) -> None:
    logits = np.zeros(VOCAB_SIZE, dtype=np.float32)
    logits[[17, 900, 2999]] = 5
    assert make_sampler(vocab_model, {"temp": 0.0}).sample_many(logits, 1) == [17]


@pytest.mark.parametrize("temp", [1e-45, 1e-38, 1e-21, 1e-19, 1e-8])
@pytest.mark.parametrize("way", ["top-k", "top-p", "whole", "DRY", "Mirostat", "Mirostat 2"])
def test_almost_no_temperature_is_greedy(way: str, temp: float, vocab_model: _core.Model) -> None:
    options = {**WAYS[way], "temp": temp}
    for seed in range(5):
        sampler = make_sampler(vocab_model, {**options, "seed": seed})
        assert sampler.sample_many(ramp(), 1) == [VOCAB_SIZE - 1]


@every_way
def test_any_numbers_give_a_token_or_an_error(way: str, vocab_model: _core.Model) -> None:
    @settings(max_examples=60, deadline=None)
    @given(logits=odd_logits())
    def gives_a_usable_token(logits: Logits) -> None:
        try:
            drawn = make_sampler(vocab_model, WAYS[way]).sample_many(logits, 3)
        except EngineError:
            return
        assert all(logits[token] > -np.inf for token in drawn)

    gives_a_usable_token()


@every_way
@pytest.mark.parametrize("number", [np.nan, -np.inf, np.inf])
def test_no_number_at_all(way: str, number: float, vocab_model: _core.Model) -> None:
    logits = np.full(VOCAB_SIZE, number, dtype=np.float32)
    with pytest.raises(EngineError, match="damaged"):
        make_sampler(vocab_model, WAYS[way]).sample_many(logits, 1)


@every_way
def test_one_infinity(way: str, vocab_model: _core.Model) -> None:
    logits = ramp()
    logits[1234] = np.inf
    with pytest.raises(EngineError, match="damaged"):
        make_sampler(vocab_model, WAYS[way]).sample_many(logits, 1)


@every_way
def test_one_number(way: str, vocab_model: _core.Model) -> None:
    logits = np.full(VOCAB_SIZE, np.nan, dtype=np.float32)
    logits[::3] = -np.inf
    logits[1234] = -3.0
    assert make_sampler(vocab_model, WAYS[way]).sample_many(logits, 3) == [1234] * 3


@every_way
@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 - 1, 2**32, 2**64 - 1])
def test_a_seed_gives_the_same_again(way: str, seed: int, vocab_model: _core.Model) -> None:
    options = {**WAYS[way], "seed": seed}
    first, again = (make_sampler(vocab_model, options).sample_many(ramp(), 50) for _ in range(2))
    assert first == again


def test_seeds_differ(vocab_model: _core.Model) -> None:
    seeds = [0, 1, 2, 1000, 2**31, 2**32 - 2]
    drawn = [
        make_sampler(vocab_model, {**OFF, "seed": seed}).sample_many(ramp(), 20) for seed in seeds
    ]
    assert len({tuple(tokens) for tokens in drawn}) == len(seeds)
