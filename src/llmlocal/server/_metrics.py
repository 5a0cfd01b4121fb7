"""What was served so far, as Prometheus reads it."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmlocal._generation._completion import Completion
    from llmlocal._pool import ModelPool

__all__ = ["Metrics", "exposition"]

_BOUNDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class Histogram:
    """How often a time was at most so many seconds."""

    def __init__(self) -> None:
        self.counts = [0] * (len(_BOUNDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(_BOUNDS, seconds)] += 1
        self.sum += seconds

    def lines(self, name: str, labels: str) -> Iterator[str]:
        so_far = 0
        for bound, count in zip((*map(str, _BOUNDS), "+Inf"), self.counts, strict=True):
            so_far += count
            yield f'{name}_bucket{{{labels},le="{bound}"}} {so_far}'
        yield f"{name}_sum{{{labels}}} {self.sum:.6f}"
        yield f"{name}_count{{{labels}}} {so_far}"


class Metrics:
    """Counts by model."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.running: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()  # By status code.
        self.tokens: Counter[tuple[str, str]] = Counter()
        self.first_token: dict[str, Histogram] = {}
        self.total: dict[str, Histogram] = {}

    @contextmanager
    def request(self, model: str) -> Iterator[None]:
        """A request to a model, for as long as it takes."""
        started = time.perf_counter()
        self.requests[model] += 1
        self.running[model] += 1
        try:
            yield
        finally:
            self.running[model] -= 1
            self.total.setdefault(model, Histogram()).observe(time.perf_counter() - started)

    def answered(self, model: str, replies: Iterable[Completion]) -> None:
        """These came out of a request."""
        for i, reply in enumerate(replies):
            if i == 0:  # All answers to one prompt share it.
                self.tokens[model, "prompt"] += reply.usage.prompt_tokens
                self.tokens[model, "cached"] += reply.usage.cached_tokens
            self.tokens[model, "completion"] += reply.usage.completion_tokens
            self.first_token.setdefault(model, Histogram()).observe(reply.timings.first_token)

    def read(self, model: str, tokens: int) -> None:
        """So many tokens were read, and nothing was generated."""
        self.tokens[model, "prompt"] += tokens


def exposition(metrics: Metrics, pool: ModelPool, *, inside: int, refused: int) -> str:
    """The metrics in Prometheus' text format, version 0.0.4."""
    lines: list[str] = []

    def family(name: str, kind: str, text: str, samples: Iterable[str]) -> None:
        listed = list(samples)
        if listed:
            lines.extend((f"# HELP {name} {text}", f"# TYPE {name} {kind}", *listed))

    def by_model(name: str, counts: Counter[str]) -> list[str]:
        return [f"{name}{{{_label('model', model)}}} {n}" for model, n in counts.items()]

    name = "llmlocal_requests_total"
    family(name, "counter", "Requests to a model.", by_model(name, metrics.requests))
    name = "llmlocal_requests_running"
    family(name, "gauge", "Requests that a model works on.", by_model(name, metrics.running))
    name = "llmlocal_requests_inside"
    family(name, "gauge", "Requests that are served or wait.", [f"{name} {inside}"])
    name = "llmlocal_requests_refused_total"
    family(name, "counter", "Requests refused with 429.", [f"{name} {refused}"])
    name = "llmlocal_errors_total"
    samples = [f"{name}{{{_label('status', code)}}} {n}" for code, n in metrics.errors.items()]
    family(name, "counter", "Responses that told of an error.", samples)
    name = "llmlocal_tokens_total"
    samples = [
        f"{name}{{{_label('model', model)},{_label('kind', kind)}}} {n}"
        for (model, kind), n in metrics.tokens.items()
    ]
    family(name, "counter", "Tokens of prompts, of these the cached ones, and of answers.", samples)
    for name, text, histograms in (
        ("llmlocal_first_token_seconds", "Time to the first token.", metrics.first_token),
        ("llmlocal_request_seconds", "Time from a request to its end.", metrics.total),
    ):
        samples = [
            line
            for model, histogram in histograms.items()
            for line in histogram.lines(name, _label("model", model))
        ]
        family(name, "histogram", text, samples)
    status = pool.status()
    name = "llmlocal_requests_waiting"
    samples = [f"{name}{{{_label('model', m.name)}}} {m.waiting}" for m in status]
    family(name, "gauge", "Requests that wait in an engine for others to end.", samples)
    name = "llmlocal_model_loaded"
    samples = [f"{name}{{{_label('model', m.name)}}} {int(m.state == 'loaded')}" for m in status]
    family(name, "gauge", "Whether a model is in memory.", samples)
    name = "llmlocal_model_bytes"
    samples = [f"{name}{{{_label('model', m.name)}}} {m.bytes}" for m in status]
    family(name, "gauge", "Memory that a model takes.", samples)
    return "\n".join(lines) + "\n"


def _label(name: str, value: str) -> str:
    escaped = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'{name}="{escaped}"'
