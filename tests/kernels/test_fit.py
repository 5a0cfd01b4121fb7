"""A ggml whose internals our kernels do not know is built without them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_LLAMA_CPP = Path(__file__).parents[2] / "third_party" / "llama.cpp"
_PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(fit LANGUAGES C CXX)
set(source "{source}")
set(GGML_CPU ON)
set(libraries "")
include("{kernels}")
"""


@pytest.fixture
def ggml(tmp_path: Path) -> Path:
    """A copy of ggml's source that a test may change."""
    if shutil.which("cmake") is None or not (_LLAMA_CPP / "src" / "ggml").is_dir():
        pytest.skip("needs cmake, and the source that llmlocal is built from")
    source = tmp_path / "source"
    for part in ("ggml/include", "ggml/src/ggml-cpu"):
        shutil.copytree(_LLAMA_CPP / "src" / part, source / part)
    for header in (_LLAMA_CPP / "src/ggml/src").glob("*.h"):
        shutil.copy(header, source / "ggml/src")
    return source


def configured(source: Path) -> str:
    """What a configuration says; a second one in the same folder looks again."""
    project = source.parent / "project"
    project.mkdir(exist_ok=True)
    text = _PROJECT.format(source=source, kernels=_LLAMA_CPP / "kernels.cmake")
    (project / "CMakeLists.txt").write_text(text)
    done = subprocess.run(
        ["cmake", "-S", project, "-B", project / "build"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("file", "was", "changed"),
    [
        ("traits.h", "virtual bool work_size(", "virtual bool work_bytes("),
        ("ggml-cpu-impl.h", "size_t wsize;", "int wsize;"),
        ("ggml-cpu.cpp", "ggml_backend_cpu_kleidiai_buffer_type()", "other_buffer_type()"),
    ],
)
def test_another_ggml_is_built_without_kernels(
    ggml: Path, file: str, was: str, changed: str
) -> None:
    path = ggml / "ggml/src/ggml-cpu" / file
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, changed))
    assert "Without our own CPU kernels: this ggml" in configured(ggml)
    path.write_text(text)
    assert "With our own CPU kernels" in configured(ggml)
