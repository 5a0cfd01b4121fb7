# ruff: noqa: D102 - the base class says what each method is for
"""llama-server, built from the pinned source, with a slot for each parallel request."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Any

from benchmarks.adapters.adapter import GREEDY, Sampling, Settings
from benchmarks.adapters.completion_api import completion_request
from benchmarks.adapters.http_server import HttpServer
from benchmarks.adapters.serve import serve


class LlamaServer(HttpServer):
    """A server process, asked over loopback."""

    completion_path = "/completion"

    def command(self, settings: Settings, port: int) -> Sequence[str]:
        options = dict(settings.options)
        folder = options.pop("slots", None)
        slots = ("--slot-save-path", f"{folder}/") if folder else ()
        self._program = str(options.pop("program"))
        return [
            self._program,
            *("--model", settings.model),
            *("--host", "127.0.0.1", "--port", str(port)),
            *("--threads", str(settings.n_threads)),
            *("--threads-batch", str(settings.n_threads)),
            *("--parallel", str(settings.n_parallel)),
            *("--ctx-size", str(settings.n_ctx * settings.n_parallel)),
            *("--gpu-layers", "0"),
            *slots,
            *options.get("arguments", ()),
        ]

    def completion(self, prompt: str, max_tokens: int, sampling: Sampling) -> dict[str, Any]:
        return completion_request(prompt, max_tokens, sampling)

    def keep(self, text: str, folder: str) -> None:
        del folder  # It was started with that.
        self.complete(text, 1, GREEDY)
        self._slot("save")

    def resume(self, text: str, folder: str) -> None:
        del folder
        self._slot("restore")
        self.complete(text, 1, GREEDY)

    def _slot(self, action: str) -> None:
        with self.post(f"/slots/0?action={action}", {"filename": "known.bin"}) as reply:
            reply.read()

    def tokens_in(self, answer: dict[str, Any]) -> int:
        return int(answer["tokens_predicted"])

    def version(self) -> str:
        done = subprocess.run(
            [self._program, "--version"], capture_output=True, text=True, check=True
        )
        return (done.stderr + done.stdout).partition("\n")[0].removeprefix("version: ")


if __name__ == "__main__":
    serve(LlamaServer())
