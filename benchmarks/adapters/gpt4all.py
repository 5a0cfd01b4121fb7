# ruff: noqa: D102 - the base class says what each method is for
"""gpt4all 2.8.2, the last release: one session, one request at a time."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.adapters.adapter import GREEDY, Adapter, Sampling, Settings, UnsupportedError
from benchmarks.adapters.serve import serve


class Gpt4all(Adapter):
    """One ``GPT4All``."""

    def open(self, settings: Settings) -> None:
        module = importlib.import_module("gpt4all")
        path = Path(settings.model)
        self._model: Any = module.GPT4All(
            path.name,
            model_path=path.parent,
            allow_download=False,
            n_threads=settings.n_threads,
            n_ctx=settings.n_ctx,
            device="cpu",
            **settings.options,
        )
        self._session: Any = None
        self._conversation = ""
        self._ended: set[str] = set()

    def close(self) -> None:
        self._model.close()

    def version(self) -> str:
        return version("gpt4all")

    def complete(self, prompt: str, max_tokens: int, sampling: Sampling) -> tuple[str, int]:
        pieces = list(self.stream(prompt, max_tokens, sampling))
        return "".join(pieces), len(pieces)

    def stream(self, prompt: str, max_tokens: int, sampling: Sampling) -> Iterator[str]:
        self._leave_session()
        yield from self._model.generate(
            prompt, max_tokens=max_tokens, streaming=True, n_batch=512, **_complete(sampling)
        )

    def chat(self, conversation: str, text: str, max_tokens: int) -> Iterator[str]:
        if conversation in self._ended:
            raise UnsupportedError("has one conversation at a time")
        if conversation != self._conversation:
            self._leave_session()
        if self._session is None:
            # This model's own template, in the words that this release knows.
            self._session = self._model.chat_session(
                "", "<|im_start|>user\n{0}<|im_end|>\n<|im_start|>assistant\n{1}<|im_end|>\n"
            )
            self._session.__enter__()
            self._conversation = conversation
        yield from self._model.generate(
            text, max_tokens=max_tokens, streaming=True, n_batch=512, **_complete(GREEDY)
        )

    def _leave_session(self) -> None:
        if self._session is not None:
            self._session.__exit__(None, None, None)
            self._session = None
            self._ended.add(self._conversation)


def _complete(sampling: Sampling) -> dict[str, Any]:
    # Its own defaults have a penalty, which nobody else pays for.
    return {"repeat_penalty": 1.0, **sampling}


if __name__ == "__main__":
    serve(Gpt4all())
