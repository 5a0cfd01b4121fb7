# ruff: noqa: D102 - the base class says what each method is for
"""llama-cpp-python: one sequence, one request at a time; a prefix of the last one is kept."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.adapters.adapter import GREEDY, Adapter, Sampling, Settings
from benchmarks.adapters.serve import serve


class LlamaCppPython(Adapter):
    """One ``Llama``."""

    def open(self, settings: Settings) -> None:
        module = importlib.import_module("llama_cpp")
        self._llama: Any = module.Llama(
            settings.model,
            n_ctx=settings.n_ctx,
            n_threads=settings.n_threads,
            n_threads_batch=settings.n_threads,
            n_gpu_layers=0,
            verbose=False,
            **settings.options,
        )
        self._messages: dict[str, list[dict[str, str]]] = {}

    def open_embedder(self, settings: Settings) -> None:
        module = importlib.import_module("llama_cpp")
        self._llama = module.Llama(
            settings.model,
            embedding=True,
            n_ctx=settings.n_ctx,
            n_threads=settings.n_threads,
            n_threads_batch=settings.n_threads,
            n_gpu_layers=0,
            verbose=False,
        )

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        vectors: list[list[float]] = self._llama.embed(list(texts), normalize=True)
        return vectors

    def keep(self, text: str, folder: str) -> None:
        self.resume(text, folder)

    def resume(self, text: str, folder: str) -> None:
        module = importlib.import_module("llama_cpp")
        self._llama.set_cache(module.LlamaDiskCache(folder))
        try:
            self.complete(text, 1, GREEDY)
        finally:
            self._llama.set_cache(None)

    def close(self) -> None:
        self._llama.close()

    def version(self) -> str:
        return str(importlib.import_module("llama_cpp").__version__)

    def count(self, text: str) -> int:
        return len(self._llama.tokenize(text.encode(), special=True))

    def complete(self, prompt: str, max_tokens: int, sampling: Sampling) -> tuple[str, int]:
        answer = self._llama.create_completion(prompt, max_tokens=max_tokens, **_renamed(sampling))
        return answer["choices"][0]["text"], answer["usage"]["completion_tokens"]

    def complete_json(
        self, prompts: Sequence[str], schema: Mapping[str, Any], max_tokens: int
    ) -> list[int]:
        module = importlib.import_module("llama_cpp")
        grammar = module.LlamaGrammar.from_json_schema(json.dumps(schema), verbose=False)
        answers = [
            self._llama.create_completion(
                prompt, max_tokens=max_tokens, grammar=grammar, **_renamed(GREEDY)
            )
            for prompt in prompts
        ]
        return [answer["usage"]["completion_tokens"] for answer in answers]

    def stream(self, prompt: str, max_tokens: int, sampling: Sampling) -> Iterator[str]:
        pieces = self._llama.create_completion(
            prompt, max_tokens=max_tokens, stream=True, **_renamed(sampling)
        )
        # The last piece has the reason of the end, and no text.
        yield from (text for piece in pieces if (text := piece["choices"][0]["text"]))

    def chat(self, conversation: str, text: str, max_tokens: int) -> Iterator[str]:
        messages = self._messages.setdefault(conversation, [])
        messages.append({"role": "user", "content": text})
        answer = ""
        for piece in self._llama.create_chat_completion(
            messages, max_tokens=max_tokens, stream=True, **_renamed(GREEDY)
        ):
            if content := piece["choices"][0]["delta"].get("content"):
                answer += content
                yield content
        messages.append({"role": "assistant", "content": answer})


def _renamed(sampling: Sampling) -> dict[str, Any]:
    values: dict[str, Any] = {"repeat_penalty": 1.0, **sampling}
    values["temperature"] = values.pop("temp", 0.7)
    return values


if __name__ == "__main__":
    serve(LlamaCppPython())
