"""Shared libraries that stand in for backends, made by the machine's C compiler in milliseconds."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

__all__ = ["library_path", "needs_compiler", "write_backend"]

needs_compiler = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("cc") is None, reason="needs a C compiler"
)


def library_path(folder: Path, name: str) -> Path:
    """Where ggml would look for the backend of this name."""
    return folder / (f"ggml-{name}.dll" if sys.platform == "win32" else f"libggml-{name}.so")


def write_backend(folder: Path, name: str, *, score: int | None = None, start: str = "") -> Path:
    """Compile a backend that fails to start.

    Args:
        folder: Where it goes.
        name: "cpu-haswell", "rpc", ...
        score: What it says it is worth on this machine; None: it says nothing.
        start: C that runs when it is opened.
    """
    source = folder / f"{name}.c"
    source.write_text(
        "#include <stdio.h>\n"
        f"__attribute__((constructor)) static void start(void) {{ {start} }}\n"
        "void* ggml_backend_init(void) { return 0; }\n"
        + ("" if score is None else f"int ggml_backend_score(void) {{ return {score}; }}\n"),
        encoding="utf-8",
    )
    path = library_path(folder, name)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(path), str(source)], check=True)
    source.unlink()
    return path
