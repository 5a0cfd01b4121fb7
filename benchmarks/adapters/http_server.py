# ruff: noqa: D102 - the base class says what each method is for
"""A server process of some system, asked over loopback."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.adapters.adapter import GREEDY, Adapter, Sampling, Settings
from benchmarks.adapters.completion_api import Conversations, chat_request, delta_of, text_of
from benchmarks.adapters.serve import end_with_parent
from benchmarks.adapters.stream_reader import Reading, cpu_seconds, read_streams

__all__ = ["HttpServer"]

_START_S = 300


class HttpServer(Adapter):
    """A server with ``/health``, ``/tokenize`` and OpenAI's chats; subclasses fill in the rest."""

    runs_together = True
    completion_path = ""

    def command(self, settings: Settings, port: int) -> Sequence[str]:
        """What starts the server."""
        raise NotImplementedError

    def completion(self, prompt: str, max_tokens: int, sampling: Sampling) -> dict[str, Any]:
        """The body of a request for ``completion_path``."""
        raise NotImplementedError

    def streamed(self, prompt: str, max_tokens: int) -> dict[str, Any]:
        """The same for a greedy answer as a stream, whose last event is to tell its tokens."""
        return self.completion(prompt, max_tokens, GREEDY) | {"stream": True}

    def tokens_in(self, answer: dict[str, Any]) -> int:
        """How many tokens its reply, or a stream's last event, says that it has."""
        raise NotImplementedError

    def serving_seconds(self) -> float | None:
        """CPU time so far of the thread that serves; None where that one evaluates as well."""
        return None

    def open(self, settings: Settings) -> None:
        self._port = _free_port()
        self.process = subprocess.Popen(
            list(self.command(settings, self._port)),
            stdin=subprocess.DEVNULL,
            preexec_fn=end_with_parent,  # noqa: PLW1509 - no threads yet
        )
        self._conversations = Conversations()
        self._wait_until_ready()

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()

    def count(self, text: str) -> int:
        body = {"content": text, "add_special": True}
        with self.post("/tokenize", body) as reply:
            return len(json.load(reply)["tokens"])

    def complete(self, prompt: str, max_tokens: int, sampling: Sampling) -> tuple[str, int]:
        with self.post(
            self.completion_path, self.completion(prompt, max_tokens, sampling)
        ) as reply:
            answer = json.load(reply)
        return text_of(answer), self.tokens_in(answer)

    def stream(self, prompt: str, max_tokens: int, sampling: Sampling) -> Iterator[str]:
        body = self.completion(prompt, max_tokens, sampling) | {"stream": True}
        events = self._events(self.completion_path, body)
        yield from (text for part in events if (text := text_of(part)))

    def chat(self, conversation: str, text: str, max_tokens: int) -> Iterator[str]:
        body = chat_request(self._conversations.ask(conversation, text), max_tokens)
        parts = self._events("/v1/chat/completions", body | {"stream": True})
        yield from self._conversations.listen(conversation, (delta_of(part) for part in parts))

    def measure_streams(self, prompts: Sequence[str], tokens: int) -> dict[str, Any]:
        """As for the others, but for the client: it shares the server's CPUs, so it does little."""
        before = self.serving_seconds()
        start = time.perf_counter()
        readings = self._read_streams(prompts, tokens)
        seconds = time.perf_counter() - start
        after = self.serving_seconds()
        count = sum(self.tokens_in(reading.last_event()) for reading in readings)
        firsts = sorted(reading.times[0] - start for reading in readings)
        sample = {
            "tokens_per_s": count / seconds,
            "first_token_s": firsts[len(firsts) // 2],
            "longest_gap_s": max(reading.longest_gap() for reading in readings),
            "tokens": count,
        }
        if before is not None and after is not None:
            sample["serving_us"] = (after - before) / count * 1e6
        return sample

    def measure_cpu(self, prompt: str, tokens: int, *, streaming: bool) -> dict[str, Any]:
        """CPU time of the server's process for each token, in microseconds."""
        self.complete(prompt, 2, GREEDY)
        before = cpu_seconds(self.process.pid)
        if streaming:
            (reading,) = self._read_streams([prompt], tokens)
            count = self.tokens_in(reading.last_event())
        else:
            _, count = self.complete(prompt, tokens, GREEDY)
        return {"cpu_us": (cpu_seconds(self.process.pid) - before) / count * 1e6, "tokens": count}

    def _read_streams(self, prompts: Sequence[str], tokens: int) -> list[Reading]:
        bodies = [json.dumps(self.streamed(prompt, tokens)).encode() for prompt in prompts]
        return read_streams(self._port, self.completion_path, bodies)

    def post(self, path: str, body: dict[str, Any]) -> http.client.HTTPResponse:
        """The reply to a request; an error of its own where it is not 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        headers = {"Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(body), headers)
        reply = connection.getresponse()
        if reply.status != http.client.OK:
            raise RuntimeError(f"HTTP {reply.status}: {reply.read(200).decode(errors='replace')}")
        return reply

    def _events(self, path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        with self.post(path, body) as reply:
            for line in reply:
                if line.startswith(b"data: {"):
                    yield json.loads(line.removeprefix(b"data: "))

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with code {self.process.returncode}")
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
                connection.request("GET", "/health")
                if connection.getresponse().status == http.client.OK:
                    return
            except OSError:
                pass  # Not listening yet.
            time.sleep(0.005)
        raise RuntimeError(f"the server was not ready after {_START_S} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
