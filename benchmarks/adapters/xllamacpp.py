# ruff: noqa: D102 - the base class says what each method is for
"""xllamacpp: llama-server's engine inside the process."""

from __future__ import annotations

import importlib
import json
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.adapters.adapter import GREEDY, Adapter, Sampling, Settings
from benchmarks.adapters.completion_api import (
    Conversations,
    chat_request,
    completion_request,
    delta_of,
    text_of,
)
from benchmarks.adapters.serve import serve


class Xllamacpp(Adapter):
    """One ``Server``."""

    runs_together = True

    def open(self, settings: Settings) -> None:
        module = importlib.import_module("xllamacpp")
        params = module.CommonParams()
        params.model.path = settings.model
        params.n_ctx = settings.n_ctx * settings.n_parallel
        params.n_parallel = settings.n_parallel
        params.n_gpu_layers = 0
        params.cpuparams.n_threads = settings.n_threads
        params.cpuparams_batch.n_threads = settings.n_threads
        for name, value in settings.options.items():
            setattr(params, name, value)
        self._server: Any = module.Server(params)
        self._conversations = Conversations()

    def close(self) -> None:
        del self._server

    def version(self) -> str:
        return str(importlib.import_module("xllamacpp").__version__)

    def complete(self, prompt: str, max_tokens: int, sampling: Sampling) -> tuple[str, int]:
        reply = _parsed(
            self._server.handle_completions(completion_request(prompt, max_tokens, sampling))
        )
        return text_of(reply), int(reply["usage"]["completion_tokens"])

    def complete_json(
        self, prompts: Sequence[str], schema: Mapping[str, Any], max_tokens: int
    ) -> list[int]:
        def ask(prompt: str) -> int:
            body = completion_request(prompt, max_tokens, GREEDY) | {"json_schema": dict(schema)}
            reply = _parsed(self._server.handle_completions(body))
            return int(reply["usage"]["completion_tokens"])

        with ThreadPoolExecutor(len(prompts)) as pool:
            return list(pool.map(ask, prompts))

    def stream(self, prompt: str, max_tokens: int, sampling: Sampling) -> Iterator[str]:
        body = completion_request(prompt, max_tokens, sampling) | {"stream": True}
        parts = _parts(self._server.handle_completions, body)
        yield from (text for part in parts if (text := text_of(part)))

    def chat(self, conversation: str, text: str, max_tokens: int) -> Iterator[str]:
        body = chat_request(self._conversations.ask(conversation, text), max_tokens)
        parts = _parts(self._server.handle_chat_completions, body | {"stream": True})
        yield from self._conversations.listen(conversation, (delta_of(part) for part in parts))


def _parts(handle: Callable[..., object], body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What a streaming request calls back with, as an iterator: the call is in another thread."""
    arrived: queue.Queue[object] = queue.Queue()
    end = object()

    def take(part: object) -> bool:
        arrived.put(part)
        return False  # True would cancel the request.

    def run() -> None:
        try:
            handle(body, take)
            arrived.put(end)
        except BaseException as error:  # noqa: BLE001 - raised again by the reader
            arrived.put(error)

    threading.Thread(target=run).start()
    while (part := arrived.get()) is not end:
        if isinstance(part, BaseException):
            raise part
        yield from (each for each in _as_list(_parsed(part)) if "error" not in each)


def _parsed(reply: object) -> Any:
    if isinstance(reply, (str, bytes)):
        text = reply.decode() if isinstance(reply, bytes) else reply
        return json.loads(text)
    return reply


def _as_list(reply: Any) -> list[dict[str, Any]]:
    return reply if isinstance(reply, list) else [reply]


if __name__ == "__main__":
    serve(Xllamacpp())
