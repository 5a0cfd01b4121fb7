# ruff: noqa: ARG002 - what a system has no way to do, it is asked for all the same
"""What a system must be able to do to take part, and the measurements made with that.

The clock runs here, in the system's own process, so that the pipe to the harness is never part of
a sample. An operation that a system can't do raises ``UnsupportedError``: a row that says so.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["COMPARED", "GREEDY", "Adapter", "Settings", "UnsupportedError"]

Sampling = Mapping[str, float]

GREEDY: Sampling = {"temp": 0.0}
COMPARED = 8
"""So many vectors are handed out to be compared with those of other systems."""


class UnsupportedError(Exception):
    """The system has no way to do this."""


@dataclass(frozen=True)
class Settings:
    """How a model is opened, the same for all systems.

    Attributes:
        model: Path of the GGUF file.
        n_ctx: Tokens that one request may span.
        n_threads: CPU threads for prompts and for answers.
        n_parallel: Requests that may run at once, where the system can do that.
        options: What only one system understands, by its own names.
    """

    model: str
    n_ctx: int = 4096
    n_threads: int = 1
    n_parallel: int = 8
    options: Mapping[str, Any] = field(default_factory=dict)


class Adapter:
    """One system with one model open.  Subclasses fill in the upper half."""

    runs_together = False  # Several threads may ask it at once, and it evaluates them together.

    def open(self, settings: Settings) -> None:
        """Load the model and make all that a first request needs."""
        raise UnsupportedError("opens no model")

    def close(self) -> None:
        """Free the model."""

    def version(self) -> str:
        """The version of the package or program."""
        raise UnsupportedError("has no version")

    def count(self, text: str) -> int:
        """Tokens that a prompt has."""
        raise UnsupportedError("does not count tokens")

    def complete(self, prompt: str, max_tokens: int, sampling: Sampling) -> tuple[str, int]:
        """Continue a prompt; return the text and its number of tokens."""
        raise UnsupportedError("does not complete text")

    def complete_json(
        self, prompts: Sequence[str], schema: Mapping[str, Any], max_tokens: int
    ) -> list[int]:
        """Continue all of these prompts with JSON of this schema; return the numbers of tokens."""
        raise UnsupportedError("can't hold an answer to a schema")

    def stream(self, prompt: str, max_tokens: int, sampling: Sampling) -> Iterator[str]:
        """Continue a prompt, a piece for each token."""
        raise UnsupportedError("does not stream")

    def chat(self, conversation: str, text: str, max_tokens: int) -> Iterator[str]:
        """The answer of the next turn of a conversation, in pieces; the first call begins it."""
        raise UnsupportedError("does not chat")

    def complete_all(self, prompts: Sequence[str], max_tokens: int) -> list[tuple[str, int]]:
        """Continue all of these prompts, handed in at once."""
        if not self.runs_together:
            return [self.complete(prompt, max_tokens, GREEDY) for prompt in prompts]
        with ThreadPoolExecutor(len(prompts)) as pool:
            return list(pool.map(lambda prompt: self.complete(prompt, max_tokens, GREEDY), prompts))

    def keep(self, text: str, folder: str) -> None:
        """Evaluate a text, and leave what that gave in a folder for a later process."""
        raise UnsupportedError("keeps nothing on disk")

    def resume(self, text: str, folder: str) -> None:
        """The first token after a text whose beginning another process kept in the folder."""
        raise UnsupportedError("keeps nothing on disk")

    def open_embedder(self, settings: Settings) -> None:
        """Load the model for vectors instead of answers."""
        raise UnsupportedError("gives no vectors")

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """The vectors of texts, of length 1, handed in at once."""
        raise UnsupportedError("gives no vectors")

    # --- Measurements: each is an operation that the harness may ask for -------------------------

    def measure_open(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Seconds to load."""
        start = time.perf_counter()
        self.open(Settings(**settings))
        return {"open_s": time.perf_counter() - start, "version": self.version()}

    def measure_close(self) -> dict[str, Any]:
        """Seconds to free everything."""
        start = time.perf_counter()
        self.close()
        return {"close_s": time.perf_counter() - start}

    def measure_count(self, text: str) -> dict[str, Any]:
        """Tokens of a text."""
        return {"tokens": self.count(text)}

    def measure_decode(
        self, prompt: str, tokens: int, sampling: Sampling = GREEDY
    ) -> dict[str, Any]:
        """Tokens a second of an answer that is taken as a whole, its first token left out.

        The time of an answer of one token is taken off that of the full one, which works for
        systems that report nothing themselves.
        """
        self.complete(prompt, 1, sampling)  # Where a prefix is kept, it is kept for both.
        start = time.perf_counter()
        self.complete(prompt, 1, sampling)
        middle = time.perf_counter()
        text, count = self.complete(prompt, tokens + 1, sampling)
        seconds = (time.perf_counter() - middle) - (middle - start)
        return {"tokens_per_s": (count - 1) / seconds, "tokens": count, "text": text}

    def measure_stream(
        self, prompt: str, tokens: int, sampling: Sampling = GREEDY
    ) -> dict[str, Any]:
        """Tokens a second, and the gaps, of an answer that is read piece by piece."""
        times = [time.perf_counter() for _ in self.stream(prompt, tokens + 1, sampling)]
        rate = (len(times) - 1) / (times[-1] - times[0])
        return {"tokens_per_s": rate, "tokens": len(times), "longest_gap_s": max(_gaps(times))}

    def measure_prefill(self, text: str, tokens: int) -> dict[str, Any]:
        """Tokens a second of a prompt that nobody has evaluated before."""
        start = time.perf_counter()
        self.complete(text, 1, GREEDY)
        seconds = time.perf_counter() - start
        return {"tokens_per_s": tokens / seconds, "first_token_s": seconds}

    def measure_keep(self, text: str, folder: str) -> dict[str, Any]:
        """Evaluate a text for later processes."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.keep(text, folder)
        return {}

    def measure_resume(self, text: str, folder: str) -> dict[str, Any]:
        """Seconds to the first token, and to read the largest file of the folder."""
        start = time.perf_counter()
        self.resume(text, folder)
        seconds = time.perf_counter() - start
        return {"first_token_s": seconds, "read_s": _seconds_to_read(Path(folder))}

    def measure_open_embedder(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Load for vectors."""
        self.open_embedder(Settings(**settings))
        return {"version": self.version()}

    def measure_embed(self, texts: Sequence[str], queries: Sequence[str]) -> dict[str, Any]:
        """Texts a second for many at once, and milliseconds for one at a time; some vectors too."""
        start = time.perf_counter()
        vectors = self.embed(texts)
        middle = time.perf_counter()
        for query in queries:
            self.embed([query])
        end = time.perf_counter()
        return {
            "texts_per_s": len(texts) / (middle - start),
            "query_ms": (end - middle) / len(queries) * 1000,
            "vectors": [[round(float(each), 5) for each in some] for some in vectors[:COMPARED]],
        }

    def measure_together(self, prompts: Sequence[str], tokens: int) -> dict[str, Any]:
        """Seconds for requests that arrive together, and tokens a second over all of them."""
        start = time.perf_counter()
        answers = self.complete_all(prompts, tokens)
        seconds = time.perf_counter() - start
        count = sum(number for _, number in answers)
        return {
            "seconds": seconds,
            "tokens_per_s": count / seconds,
            "tokens": count,
            "text": "\n".join(text for text, _ in answers),
        }

    def measure_structured(
        self, prompts: Sequence[str], schema: Mapping[str, Any], tokens: int
    ) -> dict[str, Any]:
        """Tokens a second of answers that obey a schema, all handed in at once.

        The time of answers of one token is taken off, as in :meth:`measure_decode`.
        """
        self.complete_json(prompts, schema, 1)
        start = time.perf_counter()
        self.complete_json(prompts, schema, 1)
        middle = time.perf_counter()
        counts = self.complete_json(prompts, schema, tokens)
        seconds = (time.perf_counter() - middle) - (middle - start)
        return {"tokens_per_s": (sum(counts) - len(counts)) / seconds, "tokens": sum(counts)}

    def measure_free_together(self, prompts: Sequence[str], tokens: int) -> dict[str, Any]:
        """The same without a schema."""
        self.complete_all(prompts, 1)
        start = time.perf_counter()
        self.complete_all(prompts, 1)
        middle = time.perf_counter()
        counts = [number for _, number in self.complete_all(prompts, tokens)]
        seconds = (time.perf_counter() - middle) - (middle - start)
        return {"tokens_per_s": (sum(counts) - len(counts)) / seconds, "tokens": sum(counts)}

    def measure_streams(self, prompts: Sequence[str], tokens: int) -> dict[str, Any]:
        """Streams that run at once, each read by a thread: their rate, first pieces and gaps."""
        times: list[list[float]] = [[] for _ in prompts]

        def read(number: int) -> None:
            for _ in self.stream(prompts[number], tokens, GREEDY):
                times[number].append(time.perf_counter())

        start = time.perf_counter()
        with ThreadPoolExecutor(len(prompts)) as pool:
            list(pool.map(read, range(len(prompts))))
        seconds = time.perf_counter() - start
        firsts = sorted(each[0] - start for each in times if each)
        return {
            "tokens_per_s": sum(map(len, times)) / seconds,
            "first_token_s": firsts[len(firsts) // 2],
            "longest_gap_s": max(max(_gaps(each), default=0.0) for each in times),
        }

    def measure_chat(self, conversation: str, text: str, max_tokens: int) -> dict[str, Any]:
        """Seconds to the first token of a conversation's next turn."""
        start = time.perf_counter()
        first, pieces = 0.0, []
        for piece in self.chat(conversation, text, max_tokens):
            first = first or time.perf_counter() - start
            pieces.append(piece)
        total = time.perf_counter() - start
        return {"first_token_s": first or total, "seconds": total, "text": "".join(pieces)}

    def measure_arrival(
        self, running: str, alone: str, arriving: str, tokens: int, after: int
    ) -> dict[str, Any]:
        """What a long prompt does to an answer that is running, and the answer to the prompt.

        Args:
            running: Prompt of the answer that runs.
            alone: A long prompt that comes while nothing runs.
            arriving: One of the same length that comes while the answer runs.
            tokens: Tokens of the answer; it must outlast the prompt.
            after: Pieces of the answer before the prompt arrives.
        """
        if not self.runs_together:
            raise UnsupportedError("runs one request at a time")
        start = time.perf_counter()
        self.complete(alone, 1, GREEDY)
        alone_s = time.perf_counter() - start
        times: list[float] = []
        spans: list[tuple[float, float]] = []

        def arrive() -> None:
            begin = time.perf_counter()
            self.complete(arriving, 1, GREEDY)
            spans.append((begin, time.perf_counter()))

        other = threading.Thread(target=arrive)
        for _ in self.stream(running, tokens, GREEDY):
            times.append(time.perf_counter())
            if len(times) == after:
                other.start()
        other.join()
        (begin, end) = spans[0]
        before = sorted(_gaps([moment for moment in times if moment <= begin]))
        during = [gap for at, gap in zip(times[1:], _gaps(times), strict=True) if at > begin]
        beside = [gap for at, gap in zip(times[1:], _gaps(times), strict=True) if begin < at < end]
        return {
            "longest_gap_s": max(during),
            "normal_step_s": before[len(before) // 2],
            "prompt_share": alone_s / (end - begin),
            "tokens_beside": len(beside),
        }


def _seconds_to_read(folder: Path) -> float:
    largest = max(folder.rglob("*"), key=lambda path: path.stat().st_size)
    piece = bytearray(1 << 20)
    start = time.perf_counter()
    with largest.open("rb", buffering=0) as file:
        while file.readinto(piece):
            pass
    return time.perf_counter() - start


def _gaps(times: Sequence[float]) -> list[float]:
    return [later - earlier for earlier, later in itertools.pairwise(times)]
