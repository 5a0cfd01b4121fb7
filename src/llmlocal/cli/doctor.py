"""``llmlocal doctor``: what is installed, what it found here, and whether it works."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from llmlocal.cli._table import aligned
from llmlocal.cli.devices import device_cells
from llmlocal.errors import LLMLocalError

if TYPE_CHECKING:
    from llmlocal._doctor import CpuKernels, Diagnosis
    from llmlocal.cli.models import SubParsers

__all__ = ["kernel_lines", "register"]


def register(subparsers: SubParsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "doctor",
        help="tell what is installed, what it found here, and whether it works",
        description="Tell what is installed, what it found here, and whether it works. "
        "Downloads nothing.",
    )
    parser.add_argument(
        "model", nargs="?", help="what to test with; default: the smallest model on disk"
    )
    parser.add_argument("--device", default="auto", help="what to test on")
    parser.add_argument("--no-test", action="store_true", help="load no model")
    parser.set_defaults(run=_doctor)


def _doctor(arguments: argparse.Namespace) -> int:
    from llmlocal._doctor import diagnose

    for line in _lines(diagnose()):
        print(line)
    if arguments.no_test:
        return 0
    sys.stdout.flush()
    return _test(arguments.model, arguments.device)


def _lines(facts: Diagnosis) -> list[str]:
    lines = _section("versions", [f"{name:10}{value}" for name, value in facts.versions.items()])
    lines += _section("cpu", [*kernel_lines(facts.cpu_kernels), " ".join(facts.cpu_features)])
    lines += _section("devices", aligned(device_cells(list(facts.devices))))
    lines += _section("not loaded", [str(each) for each in facts.skipped] or ["none was skipped"])
    lines += _section("threads", [f"{facts.threads}, of {facts.logical_cpus} logical CPUs"])
    lines += _section("folders", [f"{name:10}{value}" for name, value in facts.folders.items()])
    return lines


def kernel_lines(kernels: CpuKernels) -> list[str]:
    """Which kernels the CPU runs, and which it could or could not."""
    own = f"llmlocal's own among them, for {kernels.own}" if kernels.own else "none of them our own"
    if kernels.library is None:
        return ["kernels are linked in, compiled for one kind of machine", own]
    count = 1 + len(kernels.weaker) + len(kernels.unfit)
    return [
        f"{kernels.library.name}, the best for this CPU of {count} builds",
        own,
        f"it could also run {', '.join(kernels.weaker) or 'no other'}",
        f"it lacks instructions for {', '.join(kernels.unfit) or 'none of them'}",
    ]


def _section(title: str, lines: list[str]) -> list[str]:
    return [title, *(f"  {line}" for line in lines), ""]


def _test(model: str | None, device: str) -> int:
    from llmlocal._doctor import run_self_test, smallest_model

    print("self-test")
    model = model or smallest_model()
    if model is None:
        print("  no model is on disk; llmlocal pull smollm2-135m-instruct fetches a small one")
        return 0
    try:
        result = run_self_test(model, device=device)
    except LLMLocalError as exc:
        print(f"  FAILED with {model}: {exc}")
        return 1
    print(
        f"  ok: {result.model} on {result.device}, loaded in {result.load_s:.2f} s, "
        f"{result.tokens} tokens at {result.tokens_per_s:.1f} tokens/s"
    )
    return 0
