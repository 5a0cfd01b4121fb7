# ruff: noqa: D102 - the base class says what each method is for
"""llama-server, built from the pinned source, with a slot for each parallel request."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.adapters.adapter import Adapter, Sampling, Settings
from benchmarks.adapters.completion_api import (
    Conversations,
    chat_request,
    completion_request,
    delta_of,
    text_of,
)
from benchmarks.adapters.serve import end_with_parent, serve

_START_S = 300


class LlamaServer(Adapter):
    """A server process, asked over loopback."""

    runs_together = True

    def open(self, settings: Settings) -> None:
        options = dict(settings.options)
        self._program = str(options.pop("program"))
        self._port = _free_port()
        self._server = subprocess.Popen(
            [
                self._program,
                *("--model", settings.model),
                *("--host", "127.0.0.1", "--port", str(self._port)),
                *("--threads", str(settings.n_threads)),
                *("--threads-batch", str(settings.n_threads)),
                *("--parallel", str(settings.n_parallel)),
                *("--ctx-size", str(settings.n_ctx * settings.n_parallel)),
                *("--gpu-layers", "0"),
                *options.get("arguments", ()),
            ],
            stdin=subprocess.DEVNULL,
            preexec_fn=end_with_parent,  # noqa: PLW1509 - no threads yet
        )
        self._conversations = Conversations()
        self._wait_until_ready()

    def close(self) -> None:
        self._server.terminate()
        self._server.wait()

    def version(self) -> str:
        done = subprocess.run(
            [self._program, "--version"], capture_output=True, text=True, check=True
        )
        return (done.stderr + done.stdout).partition("\n")[0].removeprefix("version: ")

    def count(self, text: str) -> int:
        body = {"content": text, "add_special": True}
        with self._post("/tokenize", body) as reply:
            return len(json.load(reply)["tokens"])

    def complete(self, prompt: str, max_tokens: int, sampling: Sampling) -> tuple[str, int]:
        with self._post("/completion", completion_request(prompt, max_tokens, sampling)) as reply:
            answer = json.load(reply)
        return text_of(answer), int(answer["tokens_predicted"])

    def stream(self, prompt: str, max_tokens: int, sampling: Sampling) -> Iterator[str]:
        body = completion_request(prompt, max_tokens, sampling) | {"stream": True}
        yield from (text for part in self._events("/completion", body) if (text := text_of(part)))

    def chat(self, conversation: str, text: str, max_tokens: int) -> Iterator[str]:
        body = chat_request(self._conversations.ask(conversation, text), max_tokens)
        parts = self._events("/v1/chat/completions", body | {"stream": True})
        yield from self._conversations.listen(conversation, (delta_of(part) for part in parts))

    def _post(self, path: str, body: dict[str, Any]) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        headers = {"Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(body), headers)
        reply = connection.getresponse()
        if reply.status != http.client.OK:
            raise RuntimeError(f"HTTP {reply.status}: {reply.read(200).decode(errors='replace')}")
        return reply

    def _events(self, path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        with self._post(path, body) as reply:
            for line in reply:
                if line.startswith(b"data: {"):
                    yield json.loads(line.removeprefix(b"data: "))

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            if self._server.poll() is not None:
                raise RuntimeError(f"llama-server ended with code {self._server.returncode}")
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
                connection.request("GET", "/health")
                if connection.getresponse().status == http.client.OK:
                    return
            except OSError:
                pass  # Not listening yet.
            time.sleep(0.005)
        raise RuntimeError(f"llama-server was not ready after {_START_S} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    serve(LlamaServer())
