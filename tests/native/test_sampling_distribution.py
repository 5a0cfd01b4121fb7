"""What is drawn, and how often, is what the rules say, as restated plainly in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from llmlocal import _core

from .conftest import VOCAB_SIZE
from .samplers import OFF, Logits, Numbers, make_sampler, probabilities

DRAWS = 3000
# Not 0, 1, 2, ...: the first numbers that neighbouring seeds of a Mersenne twister give are alike.
SEEDS = np.random.default_rng(1).integers(0, 2**32, DRAWS).tolist()

CASES: dict[str, dict[str, Any]] = {
    "softmax": OFF,
    "defaults": {},
    "hot": {**OFF, "temp": 1.5},
    "cool": {**OFF, "temp": 0.3},
    "top-k": {**OFF, "top_k": 5},
    "top-k above the short cut": {**OFF, "top_k": 1500},
    "top-k above the vocabulary": {**OFF, "top_k": 9999},
    "top-p": {**OFF, "top_p": 0.6},
    "top-p and min-p": {**OFF, "top_p": 0.9, "min_p": 0.1},
    "min-p": {**OFF, "min_p": 0.2},
    "typical": {**OFF, "typical_p": 0.5},
    "typical after top-k": {**OFF, "top_k": 30, "typical_p": 0.7},
    "top-n-sigma": {**OFF, "top_n_sigma": 1.5},
    "repeat penalty": {"repeat_penalty": 1.8, "top_k": 20},
    "repeat penalty on unlikely ones": {**OFF, "temp": 3.0, "repeat_penalty": 4.0, "top_k": 50},
    "repeat penalty below 1": {**OFF, "repeat_penalty": 0.2},
    "frequency and presence": {**OFF, "frequency_penalty": 0.6, "presence_penalty": 0.9},
    "penalties on the last few": {"repeat_penalty": 1.5, "repeat_last_n": 4, "top_k": 10},
    "penalties switched off": {"repeat_penalty": 1.5, "repeat_last_n": 0, "top_k": 10},
    "bias": {**OFF, "logit_bias": [(10, 3.0), (11, -2.0), (12, float("-inf"))]},
    "bias before top-k": {**OFF, "top_k": 3, "logit_bias": [(2000, 12.0)]},
    "all together": {
        "temp": 0.9,
        "top_k": 30,
        "top_p": 0.9,
        "min_p": 0.02,
        "typical_p": 0.95,
        "repeat_penalty": 1.2,
        "logit_bias": [(10, 1.5)],
    },
}


def some_logits() -> Logits:
    """The first 40 tokens, with logits above and below 0, share most of the probability."""
    random = np.random.default_rng(7)
    logits = random.normal(-8, 1, VOCAB_SIZE)
    logits[:40] = np.linspace(1.5, -1.5, 40) + random.normal(0, 0.01, 40)
    return logits.astype(np.float32)


PROMPT = [2500, 1, 2, 2, 2, 2500, 30, 30, 31, 0, 3]


@pytest.mark.parametrize("name", CASES)
def test_frequencies(name: str, vocab_model: _core.Model) -> None:
    options, logits = CASES[name], some_logits()
    expected = probabilities(logits, options, PROMPT)
    check_frequencies(vocab_model, options, logits, expected)


# Every other of the likely tokens, and two that hardly anything else would choose.
LEGAL = [*range(1, 40, 2), 2000, 2001]


@pytest.mark.parametrize("name", CASES)
def test_frequencies_of_legal_tokens(name: str, vocab_model: _core.Model) -> None:
    options, logits = CASES[name], some_logits()
    expected = probabilities(logits, options, PROMPT, LEGAL)
    check_frequencies(vocab_model, options, logits, expected, LEGAL)


def check_frequencies(
    model: _core.Model,
    options: dict[str, Any],
    logits: Logits,
    expected: Numbers,
    legal: list[int] | None = None,
) -> None:
    mask = None if legal is None else _core.FixedMask(legal)
    drawn = [
        make_sampler(model, {**options, "seed": seed}, prompt=PROMPT).sample_many(
            logits, 1, mask=mask
        )
        for seed in SEEDS
    ]
    counts = np.bincount(np.ravel(drawn), minlength=VOCAB_SIZE)
    assert counts[expected == 0].sum() == 0

    # Pearson's test over the likely tokens and, as one, the rest; z is about normal.
    likely = expected * DRAWS >= 5
    groups = np.append(expected[likely], expected[~likely].sum()) * DRAWS
    found = np.append(counts[likely], counts[~likely].sum())
    groups, found = groups[groups > 0.5], found[groups > 0.5]
    chi_square = ((found - groups) ** 2 / groups).sum()
    freedom = max(len(groups) - 1, 1)
    z = (chi_square - freedom) / np.sqrt(2 * freedom)
    assert z < 4, f"chi-square {chi_square:.1f} of {freedom}"


@pytest.mark.parametrize(
    "options",
    [
        {"temp": 0.0},
        {"top_k": 1},
        {},
        {"top_k": 5, "min_p": 0.0},
        {"top_k": 3, "xtc_probability": 1},
        {"top_k": 0},
        {"top_k": 0, "top_p": 0.5, "min_p": 0.0},
        {"top_k": 0, "top_p": 0.9, "min_p": 0.001},
        {"top_k": 0, "top_p": 1.0},
    ],
)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_asking_for_the_likeliest_changes_no_draw(
    options: dict[str, Any], share: float, vocab_model: _core.Model
) -> None:
    # A mask that is dear to fill is asked about the likeliest tokens instead, after the first time.
    random = np.random.default_rng(3)
    for seed in range(10):
        logits = np.round(random.normal(0, 3, VOCAB_SIZE), 1).astype(np.float32)  # With equal ones.
        legal = np.flatnonzero(random.random(VOCAB_SIZE) < share).tolist()
        filled, asked = (
            make_sampler(vocab_model, {**options, "seed": seed}).sample_many(
                logits, 10, mask=_core.FixedMask(legal, is_dear=is_dear)
            )
            for is_dear in (False, True)
        )
        assert asked == filled
        assert set(asked) <= set(legal)


@pytest.mark.parametrize("version", [1, 2])
def test_mirostat_among_legal_tokens(version: int, vocab_model: _core.Model) -> None:
    # The legal tokens alone follow Zipf's law; all others are far likelier.
    legal = list(range(1, VOCAB_SIZE, 3))
    logits = np.full(VOCAB_SIZE, 9.0, dtype=np.float32)
    logits[legal] = -np.log(np.arange(1, len(legal) + 1)) * 1.1
    options = {**OFF, "mirostat": version, "mirostat_tau": 5.0, "seed": 5}
    sampler = make_sampler(vocab_model, options)
    drawn = np.array(sampler.sample_many(logits, 3000, mask=_core.FixedMask(legal)))
    assert np.isin(drawn, legal).all()
    p = np.exp(logits) / np.exp(logits[legal]).sum()
    assert abs(-np.log2(p[drawn[500:]]).mean() - 5.0) < 0.6


def test_xtc_among_legal_tokens(vocab_model: _core.Model) -> None:
    logits = np.zeros(VOCAB_SIZE, dtype=np.float32)  # Thousands of others, were they legal.
    legal = [5, 6, 7, 8]
    logits[legal] = np.log([0.45, 0.3, 0.15, 0.1])
    options = {**OFF, "xtc_probability": 1.0, "xtc_threshold": 0.2}
    sampler = make_sampler(vocab_model, options)
    drawn = sampler.sample_many(logits, 500, mask=_core.FixedMask(legal))
    assert set(drawn) == {6, 7, 8}


def test_dry_among_legal_tokens(vocab_model: _core.Model) -> None:
    logits = np.zeros(VOCAB_SIZE, dtype=np.float32)
    logits[[299, 300, 301]] = [9.0, 6.0, 5.0]
    mask = _core.FixedMask([300, 301, 302])
    prompt = [400, 401, 402, 300, 500, 400, 401, 402]  # 300 came next the last time.
    for multiplier, token in ((0.0, 300), (5.0, 301)):
        options = {"temp": 0.0, "dry_multiplier": multiplier}
        sampler = make_sampler(vocab_model, options, prompt=prompt)
        assert sampler.sample_many(logits, 1, mask=mask) == [token]


@pytest.mark.parametrize("options", [{"temp": 0.0}, {}, {"top_k": 0}, OFF, {"mirostat": 1}])
def test_a_single_legal_token_is_chosen(options: dict[str, Any], vocab_model: _core.Model) -> None:
    sampler = make_sampler(vocab_model, options)
    assert sampler.sample_many(some_logits(), 3, mask=_core.FixedMask([2500])) == [2500] * 3


def test_min_p_cuts_where_it_should(vocab_model: _core.Model) -> None:
    # Half of the tokens are a little more, half a little less likely than a tenth of the best.
    logits = np.full(VOCAB_SIZE, np.log(0.1) - 0.005, dtype=np.float32)
    logits[:1500] += 0.01
    logits[7] = 0
    for way in ({"top_k": 0, "top_p": 0.9999}, {"top_k": 0, "top_p": 1.0}, {"top_k": 1024}):
        options = {**OFF, **way, "min_p": 0.1}
        drawn = make_sampler(vocab_model, options).sample_many(logits, 500)
        assert max(drawn) < 1500
        assert len(set(drawn)) > 250  # All of the likelier half may come up.


@pytest.mark.parametrize("threshold", [0.05, 0.2, 0.4])
def test_xtc_leaves_out_the_obvious(threshold: float, vocab_model: _core.Model) -> None:
    logits = np.full(VOCAB_SIZE, -np.inf, dtype=np.float32)
    logits[:4] = np.log([0.45, 0.3, 0.15, 0.1])
    options = {**OFF, "xtc_probability": 1.0, "xtc_threshold": threshold}
    drawn = make_sampler(vocab_model, options).sample_many(logits, 500)
    # Of all that reach the threshold only the least likely stays.
    obvious = [token for token in range(4) if np.exp(logits[token]) >= threshold]
    assert set(drawn) == {*obvious[-1:], *range(len(obvious), 4)}


def test_xtc_acts_as_often_as_it_is_told(vocab_model: _core.Model) -> None:
    logits = np.full(VOCAB_SIZE, -np.inf, dtype=np.float32)
    logits[:2] = np.log([0.6, 0.4])
    options = {**OFF, "xtc_probability": 0.5, "xtc_threshold": 0.1}
    drawn = make_sampler(vocab_model, options).sample_many(logits, 4000)
    assert 0.3 * 0.9 < drawn.count(0) / 4000 < 0.3 * 1.1  # Half of the times 0.6, else never.


def test_dry_breaks_off_a_repeat(vocab_model: _core.Model) -> None:
    logits = np.zeros(VOCAB_SIZE, dtype=np.float32)
    logits[[300, 301]] = [6.0, 5.0]
    prompt = [400, 401, 402, 300, 500, 400, 401, 402]  # 300 came next the last time.
    for multiplier, token in ((0.0, 300), (0.1, 300), (5.0, 301)):
        options = {"temp": 0.0, "dry_multiplier": multiplier}
        assert make_sampler(vocab_model, options, prompt=prompt).sample_many(logits, 1) == [token]


def test_dry_does_not_cross_a_breaker(vocab_model: _core.Model) -> None:
    logits = np.zeros(VOCAB_SIZE, dtype=np.float32)
    logits[[300, 301]] = [6.0, 5.0]
    newline = 3 + ord("\n")
    prompt = [400, 401, newline, 300, 500, 400, 401, newline]
    options = {"temp": 0.0, "dry_multiplier": 5.0, "dry_breakers": ["\n"]}
    assert make_sampler(vocab_model, options, prompt=prompt).sample_many(logits, 1) == [300]
    options["dry_breakers"] = []
    assert make_sampler(vocab_model, options, prompt=prompt).sample_many(logits, 1) == [301]


def test_what_is_taken_back_was_never_seen(vocab_model: _core.Model) -> None:
    logits = np.zeros(VOCAB_SIZE, dtype=np.float32)
    logits[300:310] = np.linspace(6.0, 5.0, 10)
    prompt = [400, 401, 402, 300, 500, 400, 401, 402]
    options = {"temp": 0.0, "dry_multiplier": 1.0, "dry_last_n": 10, "repeat_penalty": 1.2}
    sampler = make_sampler(vocab_model, options, prompt=prompt)
    first = sampler.sample_many(logits, 30)
    assert len(set(first)) > 1  # It does look back.
    sampler.take_back(20)
    assert sampler.sample_many(logits, 20) == first[10:]
    sampler.take_back(30)
    assert sampler.sample_many(logits, 30) == first


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("tau", [5.0, 7.0])
def test_mirostat_reaches_its_surprise(version: int, tau: float, vocab_model: _core.Model) -> None:
    # Zipf's law, which the first version assumes.
    logits = -np.log(np.arange(1, VOCAB_SIZE + 1, dtype=np.float32)) * np.float32(1.1)
    options = {**OFF, "mirostat": version, "mirostat_tau": tau, "seed": 5}
    drawn = make_sampler(vocab_model, options).sample_many(logits, 3000)
    p = np.exp(logits) / np.exp(logits).sum()
    surprise = -np.log2(p[drawn[500:]])
    assert abs(surprise.mean() - tau) < 0.6
