"""What each way to run the threads of a step costs, alone and beside a busy process.

    python -m benchmarks get llama-bench          # once
    python -m benchmarks.thread_pools MODEL.gguf [--rounds 5]

Prints a Markdown table of tokens/s. llama-bench stands for fixed choices: ggml's own pool of
threads, which spin for a while (poll) before they sleep, and OpenMP's, for which it is built a
second time. The package's own row has its default, a number of threads that adapts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.folders import LLAMA_CPP, ROOT, TOOLS
from benchmarks.scenarios.contended import busy_processes

_OPENMP_TOOLS = TOOLS.parent / "openmp"  # As deep as the others, for the compiler cache.
_TOKENS = 192
_OURS = """
import sys
from llmlocal import LLM
with LLM(sys.argv[1], device="cpu", n_ctx=512, n_threads=int(sys.argv[2]), progress=False) as llm:
    ends = dict.fromkeys(llm.tokenize(llm.eos_token, add_special=False), -100.0)
    answer = llm.generate("Once", max_tokens=int(sys.argv[3]), temp=0, logit_bias=ends)
print(1 / answer.timings.per_token)
"""


@dataclass(frozen=True)
class Choice:
    """One way to run the threads.

    Attributes:
        label: Its row in the table.
        threads: How many.
        tools: The folder of the llama-bench to use; None: the package itself.
        options: More options of llama-bench.
        environment: Variables that OpenMP reads.
    """

    label: str
    threads: int
    tools: Path | None = None
    options: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def choices(threads: int) -> list[Choice]:
    """All rows, for so many threads."""
    openmp: list[tuple[str, dict[str, str]]] = [
        ("OpenMP", {}),
        ("OpenMP, `GOMP_SPINCOUNT=1000`", {"GOMP_SPINCOUNT": "1000"}),
        ("OpenMP, `OMP_WAIT_POLICY=passive`", {"OMP_WAIT_POLICY": "passive"}),
    ]
    return [
        *(Choice(label, threads, _OPENMP_TOOLS, (), values) for label, values in openmp),
        *(
            Choice(f"own pool, poll {poll}", threads, TOOLS, ("--poll", str(poll)))
            for poll in (0, 10, 50, 100)
        ),
        Choice("own pool, one thread", 1, TOOLS),
        Choice("llmlocal: own pool, poll 0, adapting", threads),
    ]


def tokens_per_s(choice: Choice, model: Path) -> float:
    """One answer, in a process of its own."""
    environment = {**os.environ, **choice.environment}
    if choice.tools is None:
        command = [sys.executable, "-c", _OURS, str(model), str(choice.threads), str(_TOKENS)]
        return float(subprocess.check_output(command, env=environment))
    command = [str(choice.tools / "bin" / "llama-bench"), "-m", str(model), "-o", "json"]
    command += ["-p", "0", "-n", str(_TOKENS), "-r", "1", "-t", str(choice.threads)]
    told = subprocess.check_output(
        [*command, *choice.options], env=environment, stderr=subprocess.DEVNULL
    )
    return float(json.loads(told)[0]["avg_ts"])


def measure(
    rows: Sequence[Choice], model: Path, rounds: int
) -> dict[str, tuple[list[float], list[float]]]:
    """Samples alone and beside a busy process; all rows take turns."""
    samples: dict[str, tuple[list[float], list[float]]] = {row.label: ([], []) for row in rows}
    for _ in range(rounds):
        for others in (0, 1):
            for row in rows:
                with busy_processes(others) if others else nullcontext():
                    samples[row.label][others].append(tokens_per_s(row, model))
    return samples


def build_with_openmp() -> None:
    """Compile llama-bench with OpenMP, unless it is there."""
    configure = ["cmake", "-S", str(ROOT / "benchmarks" / "llama_tools"), "-B", str(_OPENMP_TOOLS)]
    configure += ["-DGGML_OPENMP=ON", f"-DLLMLOCAL_LLAMA_CPP={LLAMA_CPP / 'src'}"]
    for command in (
        configure,
        ["cmake", "--build", str(_OPENMP_TOOLS), "--parallel", "--target", "llama-bench"],
    ):
        subprocess.run(command, check=True, stdout=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.thread_pools")
    parser.add_argument("model", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args(argv)
    if not (TOOLS / "bin" / "llama-bench").exists():
        parser.error("build llama-bench first: python -m benchmarks get llama-bench")
    if not (_OPENMP_TOOLS / "bin" / "llama-bench").exists():
        build_with_openmp()
    samples = measure(choices(arguments.threads), arguments.model, arguments.rounds)
    print("| threads of a step | alone | beside a busy process |")
    print("| --- | ---: | ---: |")
    for label, (alone, beside) in samples.items():
        print(f"| {label} | {statistics.median(alone):.0f} | {statistics.median(beside):.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
