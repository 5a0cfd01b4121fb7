"""Vectors: many texts at once, and queries one at a time.

``--model`` is all-MiniLM-L6-v2 as a GGUF file; sentence-transformers takes the same weights from a
package of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.scenarios.scenario import Context, Metric, Scenario, Task
from benchmarks.session import Session
from benchmarks.systems import OURS, Entrant
from benchmarks.workloads import text

__all__ = ["EMBED", "texts_of_all_lengths"]

_SYSTEMS = (OURS, "llama-cpp-python", "sentence-transformers")
_WINDOW = 256
_QUERY_WORDS = 8


def texts_of_all_lengths(count: int, label: str) -> list[str]:
    """Texts of 5 to 200 words, in no order; the mean is 102."""
    return [text(5 + index * 7919 % 196, f"{label} {index}") for index in range(count)]


def _embed(context: Context) -> Sequence[Task]:
    # Two cores read 30 to 50 of these texts a second.
    texts, queries = (40, 20) if context.is_quick else (1000, 200)
    return [
        Task(
            name,
            Entrant(name, name, context.settings(n_ctx=_WINDOW), operation="open_embedder"),
            _work(texts, queries),
        )
        for name in context.systems
        if name in _SYSTEMS
    ]


def _work(texts: int, queries: int) -> Any:
    def work(session: Session, turn: int) -> Mapping[str, Any]:
        return session.ask(
            "embed",
            texts=texts_of_all_lengths(texts, f"turn {turn}"),
            queries=[text(_QUERY_WORDS, f"query {turn} {index}") for index in range(queries)],
        )

    return work


EMBED = Scenario(
    "embed",
    "vectors of texts of 5 to 200 words at once, and of queries one at a time",
    (Metric("texts_per_s", "texts/s", "higher"), Metric("query_ms", "ms a query", "lower")),
    _embed,
    rounds=(5, 2),
)
