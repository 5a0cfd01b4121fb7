"""Opens the models that come in by name, and says of each what became of it; see ``run``."""

from __future__ import annotations

import os
import resource
import sys

from llmlocal import LLM, LLMLocalError, LoadCancelledError, models

MOST_BYTES = 3 << 30
"""Of address space: what a tiny model and two threads need, many times over."""

TEXTS = ["", "the quick brown fox 7 é 世", "<|im_start|><s>", "7" * 300]


def try_out(path: str) -> str:
    """What an application might do with a model; returns what became of it."""
    try:
        models.inspect(path)
    except LLMLocalError as error:
        str(error)
    try:
        with LLM(path, device="cpu", n_threads=2, n_ctx=64, n_parallel=2, progress=False) as llm:
            for text in TEXTS:
                try:
                    llm.detokenize(llm.tokenize(text), special=True)
                except LLMLocalError as error:
                    str(error)
            str(dict(llm.metadata)), llm.bos_token, llm.eos_token, llm.memory(), repr(llm)
            answer = llm.generate("the quick fox", max_tokens=4, timeout=5)
            str(answer).encode()
    except LoadCancelledError:
        raise
    except LLMLocalError as error:
        return f"{type(error).__name__}: {str(error).encode()!r}"
    return "answered"


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["GGML_NO_BACKTRACE"] = "1"
    for line in sys.stdin:
        verdict = try_out(line.rstrip("\n"))
        sys.stdout.write(f"{verdict}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
