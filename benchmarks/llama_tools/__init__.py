"""Builds llama.cpp's own programs from the pinned source, with the package's flags."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.folders import LLAMA_CPP, LOGS, ROOT, TOOLS
from benchmarks.pin import pinned_commit

__all__ = ["TOOLS_OF", "ToolsFailedError", "build", "is_built", "tool_path"]

TOOLS_OF: Mapping[str, tuple[str, ...]] = {
    "llama-bench": ("llama-bench", "llama-batched-bench"),
    "llama-server": ("llama-server",),  # The larger half of all of llama.cpp: minutes more.
}

_PIN = ROOT / "third_party" / "llama.cpp"


class ToolsFailedError(Exception):
    """A program could not be built; one line says why, the log has the rest."""


def tool_path(tool: str) -> Path:
    """Where a program is once it is built."""
    return TOOLS / "bin" / (f"{tool}.exe" if os.name == "nt" else tool)


def is_built(tool: str) -> bool:
    """Whether it is there."""
    return tool_path(tool).is_file()


def build(tools: Sequence[str]) -> None:
    """Unpack the source with its tools, and build these; what is built already stays.

    Raises:
        ToolsFailedError: The source could not be obtained, or a program did not build.
    """
    LLAMA_CPP.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_PIN / "pin.txt", LLAMA_CPP / "pin.txt")
    # A copy of its own: the package's source is not replaced under a build that reads it.
    fetch = [sys.executable, "-B", str(_PIN / "fetch.py"), "--with-tools", "--home", str(LLAMA_CPP)]
    configure = [
        *("cmake", "-S", str(Path(__file__).parent), "-B", str(TOOLS)),
        f"-DLLMLOCAL_LLAMA_CPP={LLAMA_CPP / 'src'}",
        f"-DLLAMA_BUILD_COMMIT={pinned_commit()[:8]}",  # Or it would find our own.
    ]
    if shutil.which("ninja") and not (TOOLS / "CMakeCache.txt").exists():
        configure += ["-G", "Ninja"]
    compile_ = ["cmake", "--build", str(TOOLS), "--target", *tools]
    for step in (fetch, configure, compile_):
        _run(step)


def _run(command: list[str]) -> None:
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / "build-llama-tools.log"
    with log.open("a", encoding="utf-8") as output:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode != 0:
        raise ToolsFailedError(f"{' '.join(command[:2])} failed; see {log}")
