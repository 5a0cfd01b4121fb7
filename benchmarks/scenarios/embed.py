"""Vectors: many texts at once, and queries one at a time.

``--model`` is all-MiniLM-L6-v2 as a GGUF file; sentence-transformers and fastembed take the same weights
from a package.  All must give the same vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.scenarios.scenario import Context, Metric, Scenario, Task
from benchmarks.session import OperationFailedError, Session
from benchmarks.systems import OURS, Entrant
from benchmarks.workloads import text

__all__ = ["EMBED", "SameVectors", "texts_of_all_lengths"]

Vectors = Sequence[Sequence[float]]

_SYSTEMS = (OURS, "llama-cpp-python", "sentence-transformers", "fastembed")
_WINDOW = 256
_QUERY_WORDS = 8
_LOWEST_COSINE = 0.999


def texts_of_all_lengths(count: int, label: str) -> list[str]:
    """Texts of 5 to 200 words, in no order; the mean is 102."""
    return [text(5 + index * 7919 % 196, f"{label} {index}") for index in range(count)]


class SameVectors:
    """Holds each system's vectors of a round against those of the first that was asked in it."""

    def __init__(self) -> None:
        self._first: dict[int, Vectors] = {}

    def check(self, turn: int, vectors: Vectors) -> None:
        """Take note of a system's vectors of length 1, or compare them.

        Raises:
            OperationFailedError: They are others than the first system's.
        """
        first = self._first.setdefault(turn, vectors)
        cosines = [
            sum(a * b for a, b in zip(one, other, strict=True))
            for one, other in zip(first, vectors, strict=True)
        ]
        for cosine in cosines:
            if not cosine >= _LOWEST_COSINE:  # NaN is not either.
                why = f"other vectors than the first system's: cosine {cosine:.4f}"
                raise OperationFailedError(why)


def _embed(context: Context) -> Sequence[Task]:
    # Two cores read 30 to 50 of these texts a second.
    texts, queries = (40, 20) if context.is_quick else (1000, 200)
    same = SameVectors()
    return [
        Task(
            name,
            Entrant(name, name, context.settings(n_ctx=_WINDOW), operation="open_embedder"),
            _work(texts, queries, same),
        )
        for name in context.systems
        if name in _SYSTEMS
    ]


def _work(texts: int, queries: int, same: SameVectors) -> Any:
    def work(session: Session, turn: int) -> Mapping[str, Any]:
        sample = session.ask(
            "embed",
            texts=texts_of_all_lengths(texts, f"turn {turn}"),
            queries=[text(_QUERY_WORDS, f"query {turn} {index}") for index in range(queries)],
        )
        same.check(turn, sample.pop("vectors"))
        return sample

    return work


EMBED = Scenario(
    "embed",
    "vectors of texts of 5 to 200 words at once, and of queries one at a time",
    (Metric("texts_per_s", "texts/s", "higher"), Metric("query_ms", "ms a query", "lower")),
    _embed,
    rounds=(5, 2),
)
