# ruff: noqa: D102 - the base class says what each method is for
"""``llmlocal serve``, as clients see it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import llmlocal
from benchmarks.adapters.adapter import GREEDY, Sampling, Settings
from benchmarks.adapters.http_server import HttpServer
from benchmarks.adapters.serve import serve
from benchmarks.adapters.stream_reader import thread_cpu_seconds

_NAMES = {"temp": "temperature"}


class LlmlocalServer(HttpServer):
    """A server process of our own, asked over loopback."""

    completion_path = "/v1/completions"

    def open(self, settings: Settings) -> None:
        super().open(settings)
        self.complete("x", 1, GREEDY)  # A model is loaded when it is asked for.

    def command(self, settings: Settings, port: int) -> Sequence[str]:
        return [
            *(sys.executable, "-m", "llmlocal", "serve", settings.model),
            *("--port", str(port), "--device", "cpu", "--quiet"),
            *("--threads", str(settings.n_threads)),
            *("--n-parallel", str(settings.n_parallel)),
            *("--n-ctx", str(settings.n_ctx)),
        ]

    def serving_seconds(self) -> float | None:
        """The event loop runs in the main thread, and the engine in others."""
        return thread_cpu_seconds(self.process.pid, self.process.pid)

    def completion(self, prompt: str, max_tokens: int, sampling: Sampling) -> dict[str, Any]:
        renamed = {_NAMES.get(name, name): value for name, value in sampling.items()}
        return {"prompt": prompt, "max_tokens": max_tokens, **renamed}

    def streamed(self, prompt: str, max_tokens: int) -> dict[str, Any]:
        usage = {"stream_options": {"include_usage": True}}
        return super().streamed(prompt, max_tokens) | usage

    def tokens_in(self, answer: dict[str, Any]) -> int:
        return int(answer["usage"]["completion_tokens"])

    def version(self) -> str:
        return llmlocal.__version__


if __name__ == "__main__":
    serve(LlmlocalServer())
