# ruff: noqa: ARG002, T201 - the names are the base class's; a library may print
"""An adapter whose system is a script: run as a process by the tests of session and adapter."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.adapters.adapter import Adapter, Sampling, Settings
from benchmarks.adapters.serve import serve


class Scripted(Adapter):
    """Answers with as many pieces as it is asked for."""

    def open(self, settings: Settings) -> None:
        print("chatter of the library")
        os.write(1, b"and of its C part\n")
        self.settings = settings

    def version(self) -> str:
        return "1.2.3"

    def complete(self, prompt: str, max_tokens: int, sampling: Sampling) -> tuple[str, int]:
        if prompt == "fail":
            raise MemoryError("no room\nfor more")
        if prompt == "die":
            os._exit(3)
        return "x" * max_tokens, max_tokens

    def stream(self, prompt: str, max_tokens: int, sampling: Sampling) -> Iterator[str]:
        return iter("x" * max_tokens)

    def measure_settings(self) -> dict[str, Any]:
        return {"n_threads": self.settings.n_threads, "model": self.settings.model}


if __name__ == "__main__":
    serve(Scripted())
