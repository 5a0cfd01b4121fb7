# ruff: noqa: D102 - the base class says what each method is for
"""cyllama: its own ``LLM``, which clears its cache before each prompt, and its batch generator.

It has no option for the number of threads: llama.cpp's default applies.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.adapters.adapter import GREEDY, Adapter, Sampling, Settings
from benchmarks.adapters.serve import serve


class Cyllama(Adapter):
    """One ``LLM``; a ``BatchGenerator`` when many prompts come together."""

    def open(self, settings: Settings) -> None:
        self._module: Any = importlib.import_module("cyllama")
        self._settings = settings
        self._llm: Any = self._module.LLM(settings.model, config=self._config(1, GREEDY))
        self._batches: Any = None
        self._messages: dict[str, list[dict[str, str]]] = {}

    def close(self) -> None:
        self._llm.close()
        if self._batches is not None:
            self._batches.close()

    def version(self) -> str:
        return str(importlib.import_module("cyllama").__version__)

    def count(self, text: str) -> int:
        return len(self._llm.vocab.tokenize(text, add_special=True, parse_special=True))

    def complete(self, prompt: str, max_tokens: int, sampling: Sampling) -> tuple[str, int]:
        answer = self._llm(prompt, config=self._config(max_tokens, sampling))
        return answer.text, answer.stats.generated_tokens

    def stream(self, prompt: str, max_tokens: int, sampling: Sampling) -> Iterator[str]:
        yield from self._llm(prompt, config=self._config(max_tokens, sampling), stream=True)

    def chat(self, conversation: str, text: str, max_tokens: int) -> Iterator[str]:
        messages = self._messages.setdefault(conversation, [])
        messages.append({"role": "user", "content": text})
        answer = ""
        for piece in self._llm.chat(messages, config=self._config(max_tokens, GREEDY), stream=True):
            answer += piece
            yield piece
        messages.append({"role": "assistant", "content": answer})

    def complete_all(self, prompts: Sequence[str], max_tokens: int) -> list[tuple[str, int]]:
        at_once = self._settings.n_parallel
        if self._batches is None:
            self._batches = self._module.BatchGenerator(
                self._settings.model,
                n_ctx=self._settings.n_ctx * at_once,
                n_seq_max=at_once,
                n_gpu_layers=0,
            )
        config = self._config(max_tokens, GREEDY)
        answers: list[tuple[str, int]] = []
        for begin in range(0, len(prompts), at_once):
            batch = list(prompts[begin : begin + at_once])
            done = self._batches.generate_batch(batch, config)
            answers += [(answer.text, answer.stats.generated_tokens) for answer in done]
        return answers

    def _config(self, max_tokens: int, sampling: Sampling) -> Any:
        values: dict[str, Any] = {"repeat_penalty": 1.0, **sampling}
        values["temperature"] = values.pop("temp", 0.7)
        return self._module.GenerationConfig(
            max_tokens=max_tokens,
            n_ctx=self._settings.n_ctx,
            n_gpu_layers=0,
            n_batch=512,
            **values,
        )


if __name__ == "__main__":
    serve(Cyllama())
