"""Gives wrong files to worker processes, and keeps those that end or stop one."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from ..tiny_models import MODELS, TinyModel, llama
from ..vocab_kinds import KINDS
from .mutate import Layout, layout_of, mutate

__all__ = ["Report", "fuzz"]

PATIENCE_S = 10
FILES_PER_WORKER = 500


@dataclass
class Report:
    """What became of the files.

    Attributes:
        verdicts: How many got an answer, or an error of which type.
        failures: Files that ended a worker or stopped it, and how.
    """

    verdicts: Counter[str] = field(default_factory=Counter)
    failures: dict[Path, str] = field(default_factory=dict)


class Worker:
    """A process that tries models out."""

    def __init__(self) -> None:
        self.tried = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.worker"],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self._answers = selectors.DefaultSelector()
        self._answers.register(self._process.stdout, selectors.EVENT_READ)

    def try_out(self, path: Path, patience_s: float) -> tuple[str, bool]:
        """What became of it, and whether the worker is still of use."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.tried += 1
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        if not self._answers.select(patience_s):
            return f"no answer within {patience_s} s", False
        verdict = self._process.stdout.readline().rstrip("\n")
        if not verdict:
            return f"ended with {self._process.wait()}", False
        return verdict, True

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._answers.close()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def originals(folder: Path) -> list[tuple[bytes, Layout]]:
    """Honest models of each kind of memory and of each kind of vocabulary."""
    made: list[TinyModel] = [build() for build in MODELS.values()]
    made += [llama(layers=1, vocab=vocab) for vocab in KINDS.values()]
    datas = [
        model.write(folder / f"original-{i}.gguf").read_bytes() for i, model in enumerate(made)
    ]
    return [(data, layout_of(data)) for data in datas]


def fuzz(
    count: int,
    *,
    seed: int,
    folder: Path,
    start: int = 0,
    tell: Callable[[int, Report], None] | None = None,
) -> Report:
    """Try so many files.

    Args:
        count: How many.
        seed: Of the random numbers; file ``i`` of a seed is always the same.
        start: The number of the first.
        folder: Where files lie meanwhile, and those that failed stay.
        tell: Called after each file.
    """
    report = Report()
    bases = originals(folder)
    worker = Worker()
    try:
        for i in range(start, start + count):
            random = Random(f"{seed}-{i}")
            data, layout = random.choice(bases)
            path = folder / f"{seed}-{i}.gguf"
            path.write_bytes(mutate(data, layout, random))
            # The first file of a process also waits for the package to be imported.
            verdict, is_usable = worker.try_out(path, PATIENCE_S * (1 if worker.tried else 3))
            if is_usable:
                report.verdicts[verdict.split(":")[0]] += 1
                path.unlink()
            else:
                report.failures[path] = verdict
            if not is_usable or worker.tried == FILES_PER_WORKER:
                worker.close()
                worker = Worker()
            if tell is not None:
                tell(i + 1 - start, report)
    finally:
        worker.close()
    return report
