"""Samplers without a model's weights, and a slow, obvious statement of what they should do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from llmlocal import _core

Logits = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float64]

OFF: dict[str, Any] = {"temp": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
"""Nothing but the softmax: the defaults cut the tail off."""


def make_sampler(
    model: _core.Model,
    options: Mapping[str, Any],
    *,
    prompt: Sequence[int] = (),
    short_cuts: bool = True,
) -> _core.Sampler:
    params = _core.SamplingParams()
    for name, value in options.items():
        setattr(params, name, value)
    return _core.Sampler(model, params, prompt=list(prompt), short_cuts=short_cuts)


def probabilities(
    logits: Logits,
    options: Mapping[str, Any],
    prompt: Sequence[int],
    legal: Sequence[int] | None = None,
) -> Numbers:
    """The probability of every token: each rule as its paper or llama.cpp's help says it.

    With ``legal``, as if these were all the tokens there are.
    """
    values = logits.astype(np.float64)
    for token, bias in options.get("logit_bias", ()):
        values[token] += bias
    window = options.get("repeat_last_n", 64)
    seen = Counter(prompt[-window:] if window else ())
    for token, count in seen.items():
        penalty = options.get("repeat_penalty", 1.0)
        values[token] = values[token] * penalty if values[token] <= 0 else values[token] / penalty
        values[token] -= count * options.get("frequency_penalty", 0.0)
        values[token] -= options.get("presence_penalty", 0.0)
    values[np.isnan(values)] = -np.inf
    if legal is not None:
        values[np.setdiff1d(np.arange(len(values)), legal)] = -np.inf
    if (sigmas := options.get("top_n_sigma", -1.0)) > 0:
        finite = values[np.isfinite(values)]
        values[values < finite.max() - sigmas * finite.std()] = -np.inf
    if top_k := options.get("top_k", 40):
        values[_order(values)[top_k:]] = -np.inf
    if (typical := options.get("typical_p", 1.0)) < 1:
        p = _softmax(values)
        kept = np.flatnonzero(p)
        surprise = -np.log(p[kept])
        oddness = np.abs(surprise - (p[kept] * surprise).sum())
        _cut(values, kept[np.argsort(oddness, kind="stable")], p, typical)
    if (top_p := options.get("top_p", 0.95)) < 1:
        _cut(values, _order(values), _softmax(values), top_p)
    if min_p := options.get("min_p", 0.05):
        values[values < values.max() + np.log(min_p)] = -np.inf
    return _softmax(values / options.get("temp", 0.7))


def cut_is_near(logits: Logits, top_p: float, margin: float = 1e-4) -> bool:
    """Whether rounding may decide which token is the last that top-p keeps."""
    p = _softmax(np.where(np.isnan(logits), -np.inf, logits).astype(np.float64))
    return bool(np.min(np.abs(np.cumsum(np.sort(p)[::-1]) - top_p)) < margin)


def _order(values: Numbers) -> npt.NDArray[np.intp]:
    return np.argsort(-values, kind="stable")


def _softmax(values: Numbers) -> Numbers:
    weights = np.exp(values - values.max())
    scaled: Numbers = weights / weights.sum()
    return scaled


def _cut(values: Numbers, order: npt.NDArray[np.intp], p: Numbers, share: float) -> None:
    """Keep the first tokens of the order, until they have this share of the probability."""
    count = int(np.searchsorted(np.cumsum(p[order]), share)) + 1
    gone = np.ones(len(values), dtype=bool)
    gone[order[:count]] = False
    values[gone] = -np.inf
