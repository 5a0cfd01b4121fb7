# ruff: noqa: D102 - the base class says what each method is for
"""llama-bench and llama-batched-bench: llama.cpp's own measure of itself, the limit for all.

They make up their tokens and sample none, so a prompt's text does not matter to them, only its
length.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.adapters.adapter import GREEDY, Adapter, Sampling, Settings, UnsupportedError
from benchmarks.adapters.serve import serve
from benchmarks.pin import pinned_commit

_TRIES = 4


class LlamaBench(Adapter):
    """A program for each measurement; the model is loaded again each time, and not counted."""

    def open(self, settings: Settings) -> None:
        self._settings = settings
        self._bench = str(settings.options["llama-bench"])
        self._batched = str(settings.options["llama-batched-bench"])
        self._attention = str(int(settings.options.get("fused_attention", False)))

    def version(self) -> str:
        return pinned_commit()[:8]

    def measure_decode(
        self, prompt: str, tokens: int, sampling: Sampling = GREEDY, depth: int = 0
    ) -> dict[str, Any]:
        """Tokens a second of an answer on top of `depth` tokens; the prompt is not looked at."""
        del prompt, sampling
        result = self._run("-p", "0", "-n", str(tokens), "-d", str(depth))
        return {"tokens_per_s": result["avg_ts"], "tokens": tokens}

    def measure_cpu(self, prompt: str, tokens: int) -> dict[str, Any]:
        """CPU time of the whole process for each token of an answer, in microseconds.

        That of one repetition is taken off that of three, and with it start, load and warm-up.
        """
        del prompt
        seconds = [self._cpu_seconds(tokens, repetitions) for repetitions in (1, 3)]
        return {"cpu_us": (seconds[1] - seconds[0]) / (2 * tokens) * 1e6, "tokens": 2 * tokens}

    def measure_prefill(self, text: str, tokens: int) -> dict[str, Any]:
        """Tokens a second of a prompt of so many tokens."""
        del text
        result = self._run("-p", str(tokens), "-n", "0")
        return {"tokens_per_s": result["avg_ts"], "first_token_s": tokens / result["avg_ts"]}

    def measure_together(
        self,
        prompts: Sequence[str],
        tokens: int,
        prompt_tokens: int = 0,
        at_once: int = 8,
        shares_prompt: bool = False,
    ) -> dict[str, Any]:
        """The same number of requests in rounds of `at_once`.

        Args:
            prompts: Their number counts.
            tokens: Tokens of each answer.
            prompt_tokens: Tokens of each prompt.
            at_once: Requests that run together.
            shares_prompt: One prompt, evaluated once for all; else each has its own.
        """
        if prompt_tokens <= 0:
            raise UnsupportedError("needs the length of the prompts")
        rounds = -(-len(prompts) // at_once)
        times = self._run_batched(
            *("-c", str(at_once * (prompt_tokens + tokens))),
            *("-npp", str(prompt_tokens), "-ntg", str(tokens), "-npl", str(at_once)),
            *(["-pps"] if shares_prompt else []),
        )
        prompt_rounds = 1 if shares_prompt else rounds
        seconds = prompt_rounds * float(times["t_pp"]) + rounds * float(times["t_tg"])
        count = len(prompts) * tokens
        return {"seconds": seconds, "tokens_per_s": count / seconds, "tokens": count}

    def _cpu_seconds(self, tokens: int, repetitions: int) -> float:
        before = os.times()
        self._run("-p", "0", "-n", str(tokens), "-r", str(repetitions))
        after = os.times()
        user = after.children_user - before.children_user
        return user + after.children_system - before.children_system

    def _run(self, *arguments: str) -> Mapping[str, Any]:
        once = [] if "-r" in arguments else ["-r", "1"]
        output = self._output_of(self._bench, *arguments, *once, "-o", "json")
        result: Mapping[str, Any] = json.loads(output)[0]
        return result

    def _run_batched(self, *arguments: str) -> Mapping[str, Any]:
        threads = str(self._settings.n_threads)
        fixed = ("-b", "2048", "-ub", "512", "-tb", threads, "--output-format", "jsonl")
        # Its log is written by a thread that now and then loses the last lines when a short run ends.
        for _ in range(_TRIES):
            for line in self._output_of(self._batched, *arguments, *fixed).splitlines():
                if line.startswith("{"):
                    result: Mapping[str, Any] = json.loads(line)
                    return result
        raise RuntimeError("llama-batched-bench printed no result")

    def _output_of(self, program: str, *arguments: str) -> str:
        common = ("-m", self._settings.model, "-t", str(self._settings.n_threads), "-ngl", "0")
        done = subprocess.run(
            [program, *common, "-fa", self._attention, *arguments],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout


if __name__ == "__main__":
    serve(LlamaBench())
