# ruff: noqa: D102 - the base class says what each method is for
"""llmlocal, through its public interface (but for the samplers, which have none)."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.adapters.adapter import GREEDY, Adapter, Sampling, Settings, UnsupportedError
from benchmarks.adapters.serve import serve


class Llmlocal(Adapter):
    """One ``LLM``."""

    runs_together = True

    def open(self, settings: Settings) -> None:
        from llmlocal import LLM

        self._settings = settings
        self._llm: Any = LLM(
            settings.model,
            n_ctx=settings.n_ctx,
            n_threads=settings.n_threads,
            n_parallel=settings.n_parallel,
            device="cpu",
            progress=False,
            **settings.options,
        )
        self._messages: dict[str, list[dict[str, str]]] = {}

    def open_embedder(self, settings: Settings) -> None:
        from llmlocal import Embedder

        self._llm = Embedder(
            settings.model, n_threads=settings.n_threads, device="cpu", progress=False
        )

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        vectors: Sequence[Sequence[float]] = self._llm.embed(list(texts), progress=False)
        return vectors

    def keep(self, text: str, folder: str) -> None:
        del folder  # It was opened with that.
        self._llm.generate(text, max_tokens=1, **GREEDY)
        self._llm.close()

    def resume(self, text: str, folder: str) -> None:
        del folder
        self._llm.generate(text, max_tokens=1, **GREEDY)

    def close(self) -> None:
        self._llm.close()

    def version(self) -> str:
        return str(importlib.import_module("llmlocal").__version__)

    def count(self, text: str) -> int:
        return int(self._llm.count_tokens(text))

    def complete(self, prompt: str, max_tokens: int, sampling: Sampling) -> tuple[str, int]:
        answer = self._llm.generate(prompt, max_tokens=max_tokens, **sampling)
        return str(answer), answer.usage.completion_tokens

    def complete_all(self, prompts: Sequence[str], max_tokens: int) -> list[tuple[str, int]]:
        answers = self._llm.generate(list(prompts), max_tokens=max_tokens, **GREEDY)
        return [(str(answer), answer.usage.completion_tokens) for answer in answers]

    def complete_json(
        self, prompts: Sequence[str], schema: Mapping[str, Any], max_tokens: int
    ) -> list[int]:
        answers = self._llm.generate(list(prompts), max_tokens=max_tokens, schema=schema, **GREEDY)
        return [answer.usage.completion_tokens for answer in answers]

    def stream(self, prompt: str, max_tokens: int, sampling: Sampling) -> Iterator[str]:
        with self._llm.generate(prompt, streaming=True, max_tokens=max_tokens, **sampling) as own:
            yield from own

    def chat(self, conversation: str, text: str, max_tokens: int) -> Iterator[str]:
        if not hasattr(self._llm, "chat"):
            raise UnsupportedError("has no chat yet")
        messages = self._messages.setdefault(conversation, [])
        messages.append({"role": "user", "content": text})
        with self._llm.chat(messages, streaming=True, max_tokens=max_tokens, **GREEDY) as stream:
            yield from stream
            messages.append({"role": "assistant", "content": stream.text})

    # --- What only this system is measured for ---------------------------------------------------

    def measure_hold(self, prompts: Sequence[str]) -> dict[str, Any]:
        """Evaluate prompts, one after the other, so that they are held for reuse."""
        for prompt in prompts:
            self._llm.generate(prompt, max_tokens=1, **GREEDY)
        stats = self._llm.stats()
        return {"held": stats.store_entries, "held_bytes": stats.store_bytes}

    def measure_cycles(self, count: int) -> dict[str, Any]:
        """Load and close, so many times; one token each, so that all that is lazy is made."""
        self._llm.close()
        start = time.perf_counter()
        for _ in range(count):
            self.open(self._settings)
            self.complete("Hello", 1, GREEDY)
            self._llm.close()
        seconds = time.perf_counter() - start
        self.open(self._settings)
        return {"seconds_each": seconds / count}

    def measure_cpu(self, prompt: str, tokens: int, *, streaming: bool) -> dict[str, Any]:
        """CPU time of the whole process for each token, in microseconds."""
        self.complete(prompt, 2, GREEDY)
        before = time.process_time()
        if streaming:
            count = sum(1 for _ in self.stream(prompt, tokens, GREEDY))
        else:
            _, count = self.complete(prompt, tokens, GREEDY)
        return {"cpu_us": (time.process_time() - before) / count * 1e6, "tokens": count}

    def measure_schema_compile(self, schemas: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Milliseconds to make constraints of schemas that were never seen before."""
        constraints = importlib.import_module("llmlocal._generation._constraint")
        guide = self._llm._generator._guide  # Compiling alone is not public.
        self._llm.generate("x", max_tokens=1, choices=["x"])
        start = time.perf_counter()
        for schema in schemas:
            guide.compile(constraints.constraint_of({"schema": schema}))
        return {"ms": (time.perf_counter() - start) * 1e3}

    def measure_first_constrained(
        self, prompt: str, schema: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Milliseconds to the first token, the prompt being held, with a schema or without."""
        self._llm.generate("x", max_tokens=1, choices=["x"])
        self._llm.generate(prompt, max_tokens=1, **GREEDY)
        options = {} if schema is None else {"schema": schema}
        start = time.perf_counter()
        self._llm.generate(prompt, max_tokens=1, **options, **GREEDY)
        return {"ms": (time.perf_counter() - start) * 1e3}

    def measure_sampling(
        self, sampling: Sampling, *, vocabulary: int, short_cuts: bool, count: int, seed: int
    ) -> dict[str, Any]:
        """Microseconds to choose one token from seeded logits, ours or llama.cpp's own chain."""
        core = importlib.import_module("llmlocal._core")
        numpy = importlib.import_module("numpy")
        params = core.SamplingParams()
        for name, value in sampling.items():
            setattr(params, name, value)
        model = self._llm._model  # Samplers are not public.
        sampler = core.Sampler(model, params, prompt=list(range(100)), short_cuts=short_cuts)
        # The shape of a language model's logits: a broad bulk, which has a hundredth of the
        # probability in all, and favourites.
        random = numpy.random.default_rng(seed)
        logits = random.normal(0, 2.5, vocabulary).astype(numpy.float32)
        logits[random.integers(0, vocabulary, 200)] = numpy.linspace(8, 18, 200)
        sampler.sample_many(logits, 20)
        start = time.perf_counter()
        sampler.sample_many(logits, count)
        return {"us_per_token": (time.perf_counter() - start) / count * 1e6}


if __name__ == "__main__":
    serve(Llmlocal())
