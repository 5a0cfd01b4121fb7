"""Made-up rows and results for the tests of what is made of them."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.measure import Row
from benchmarks.results import Results


def row(label: str, system: str = "", **metrics: Sequence[float]) -> Row:
    """A row with these samples of each metric, round by round."""
    rounds = max((len(values) for values in metrics.values()), default=0)
    samples = [
        {name: values[number] for name, values in metrics.items() if number < len(values)}
        for number in range(rounds)
    ]
    return Row(label, system or label, version="1", samples=samples)


def results(cpu: str = "A CPU", **rows: Sequence[Row]) -> Results:
    """Results with these rows by scenario; ``_`` in a name stands for ``-``."""
    return Results(
        machine={"cpu": cpu, "cores": 2, "features": ["avx2"], "memory_bytes": 8e9, "load": 0.1},
        source={"commit": "0123456789abcdef", "is_changed": False},
        model={"name": "model.gguf", "bytes": 1e8, "sha256": "ab" * 32},
        settings={"n_threads": 2, "is_quick": True},
        when="2026-01-02T03:04:05+00:00",
        rows={name.replace("_", "-"): list(each) for name, each in rows.items()},
    )
