"""Rows a second through Ray, against the same batches given to a predictor in this process.

    python -m benchmarks.on_ray [MODEL] [--rows 256] [--threads N] [--rounds 3]

Needs ``pip install 'llmlocal[ray]'``.  Starting actors and loading models is left out on both sides:
what counts is how much longer twice the rows take.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.workloads import text

BATCH = 64
_PARAMS = {"temperature": 0, "max_tokens": 24}

Rows = list[dict[str, Any]]


def rows(count: int, seed: object) -> Rows:
    """Prompts of 20 words, new for each seed."""
    return [
        {"prompt": text(20, (seed, number)), "sampling_params": _PARAMS} for number in range(count)
    ]


def in_process(model: str, threads: int) -> Callable[[Rows], None]:
    """Answers rows in batches, as Ray's actor does."""
    from llmlocal.ray import Predictor

    predict = Predictor(model, n_threads=threads, device="cpu")

    def answer(given: Rows) -> None:
        for start in range(0, len(given), BATCH):
            batch = given[start : start + BATCH]
            _check(predict({name: [row[name] for row in batch] for name in batch[0]})["error"])

    return answer


def on_ray(model: str, threads: int) -> Callable[[Rows], None]:
    """Answers rows through a dataset, with one actor."""
    ray: Any = importlib.import_module("ray")
    data: Any = importlib.import_module("ray.data")
    from llmlocal.ray import build_processor

    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    ray.init(num_cpus=threads + 1, include_dashboard=False, log_to_driver=False)
    data.DataContext.get_current().enable_progress_bars = False
    process: Any = build_processor(model=model, batch_size=BATCH, num_cpus=threads)

    def answer(given: Rows) -> None:
        blocks = max(1, len(given) // BATCH)
        answered = process(data.from_items(given, override_num_blocks=blocks)).take_all()
        _check([row["error"] for row in answered])
        assert len(answered) == len(given)

    return answer


def _check(errors: Sequence[str]) -> None:
    if any(errors):
        raise RuntimeError(next(filter(None, errors)))


def rate(answer: Callable[[Rows], None], count: int, seed: int) -> float:
    """Rows a second of ``count`` rows: what they add to as many others."""
    spent = []
    for times in (1, 2):
        given = rows(times * count, (seed, times))
        start = time.perf_counter()
        answer(given)
        spent.append(time.perf_counter() - start)
    return count / (spent[1] - spent[0])


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both rates and their ratio."""
    from llmlocal import models
    from llmlocal._threads import default_threads

    parser = argparse.ArgumentParser(prog="python -m benchmarks.on_ray", description=__doc__)
    parser.add_argument("model", nargs="?", default="smollm2-135m-instruct")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    model = str(models.resolve(options.model))
    ways: Mapping[str, Callable[[Rows], None]] = {
        "in process": in_process(model, options.threads),
        "on Ray": on_ray(model, options.threads),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(options.rounds):
        for name, answer in ways.items():
            rates[name].append(rate(answer, options.rows, turn))
    for name, each in rates.items():
        print(f"{name:12}{statistics.median(each):8.2f} rows/s   {[round(r, 2) for r in each]}")
    ratio = statistics.median(rates["on Ray"]) / statistics.median(rates["in process"])
    print(f"ratio       {ratio:8.2f}   (bar: 0.9)")


if __name__ == "__main__":
    main()
