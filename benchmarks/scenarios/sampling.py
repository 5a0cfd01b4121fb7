"""Choosing a token: our way against llama.cpp's own chain of samplers, from the same logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.scenarios.scenario import Context, Metric, Scenario, Task
from benchmarks.session import Session
from benchmarks.systems import OURS, Entrant

__all__ = ["CASES", "CHAIN", "SAMPLING"]

CHAIN = ", llama.cpp's chain"
_USUAL = {"temp": 0.7, "top_k": 40, "top_p": 0.95, "min_p": 0.05}

CASES: Mapping[str, Mapping[str, float]] = {
    "greedy": {"temp": 0.0},
    "top-k 40, top-p, min-p": _USUAL,
    "the same and a repeat penalty": {**_USUAL, "repeat_penalty": 1.1, "repeat_last_n": 64},
    "top-p 0.95 alone": {"temp": 0.7, "top_k": 0, "top_p": 0.95, "min_p": 0.0},
    "temperature alone": {"temp": 0.7, "top_k": 0, "top_p": 1.0, "min_p": 0.0},
}
_VOCABULARIES = (32_000, 49_152, 151_936, 262_144)


def _sampling(context: Context) -> Sequence[Task]:
    entrant = Entrant(OURS, OURS, context.settings(n_ctx=256, n_parallel=1))
    vocabularies = _VOCABULARIES[1:3] if context.is_quick else _VOCABULARIES
    return [
        Task(
            f"{case}, {vocabulary:,} tokens{'' if short_cuts else CHAIN}",
            entrant,
            _work(sampling, vocabulary, short_cuts=short_cuts, count=100),
            at=vocabulary,
        )
        for case, sampling in CASES.items()
        for vocabulary in vocabularies
        for short_cuts in (True, False)
    ]


def _work(sampling: Mapping[str, float], vocabulary: int, *, short_cuts: bool, count: int) -> Any:
    def work(session: Session, turn: int) -> dict[str, Any]:
        return session.ask(
            "sampling",
            sampling=sampling,
            vocabulary=vocabulary,
            short_cuts=short_cuts,
            count=count,
            seed=turn,
        )

    return work


SAMPLING = Scenario(
    "sampling",
    "choosing one token, a copy of the logits included",
    (Metric("us_per_token", "µs/token", "lower"),),
    _sampling,
    rounds=(7, 3),
)
