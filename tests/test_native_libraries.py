"""The shared libraries of llama.cpp that a process ends up with are the package's own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from llmlocal import _core

from .devices.backend_files import needs_compiler, write_backend

LIB = Path(_core.__file__).parent / "lib"
LIST_DEVICES = "import llmlocal; print([d.name for d in llmlocal.devices()])"


def libraries() -> list[Path]:
    return [path for path in LIB.iterdir() if re.search(r"\.(so|dylib|dll)$", path.name)]


def test_names_are_our_own_or_of_a_module_that_is_loaded_by_path() -> None:
    names = [path.name for path in libraries()]
    own = r"(lib)?(llama|ggml(-base|-cpu|-rpc)?)-llmlocal\.\w+"
    module = r"(lib)?ggml-[\w.-]+\.\w+"
    assert any("llama-llmlocal" in name for name in names)
    assert [name for name in names if not re.fullmatch(f"{own}|{module}", name)] == []
    unmarked = r"(lib)?(llama|ggml|ggml-base)\.\w+"
    assert [name for name in names if re.fullmatch(unmarked, name)] == []


def test_no_name_carries_a_version_since_a_wheel_would_hold_each_of_its_links_as_a_copy() -> None:
    assert [
        path.name for path in LIB.iterdir() if re.search(r"\.so\.|\.\d+\.dylib", path.name)
    ] == []


@pytest.mark.parametrize(
    ("of", "words"),
    [
        ("llama.cpp", ["The ggml authors", "MIT License"]),
        ("ggml-cpu", ["Mozilla Foundation", "THE SOFTWARE IS PROVIDED", "Jeffrey Quesnelle"]),
        ("pybind11", ["Wenzel Jakob", "Redistributions in binary form"]),
    ],
)
def test_the_licence_of_what_is_inside_comes_with_it(of: str, words: list[str]) -> None:
    text = (LIB / f"LICENSE.{of}").read_text(encoding="utf-8")
    assert [word for word in words if word.lower() not in text.lower()] == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_loads_no_other_llama_cpp() -> None:
    maps = "; print(open('/proc/self/maps').read())"
    done = subprocess.run(
        [sys.executable, "-c", LIST_DEVICES + maps], capture_output=True, text=True, check=True
    )
    found = {Path(path) for path in re.findall(r"/\S*lib(?:llama|ggml)\S*", done.stdout)}
    assert found
    assert [path for path in found if path.parent != LIB.resolve()] == []


RUN_MARK = 'fclose(fopen("ran", "w"));'


@needs_compiler
@pytest.mark.parametrize("name", ["vulkan", "cpu-haswell", "cpu"])
def test_a_backend_in_the_current_folder_is_not_loaded(name: str, tmp_path: Path) -> None:
    """ggml's own search would run it: whoever can write there would own the process."""
    write_backend(tmp_path, name, score=1 << 30, start=RUN_MARK)
    subprocess.run([sys.executable, "-c", LIST_DEVICES], cwd=tmp_path, check=True)
    assert not (tmp_path / "ran").exists()


@needs_compiler
def test_a_backend_that_the_environment_names_is_not_loaded(tmp_path: Path) -> None:
    """It is for programs with another llama.cpp, whose structures in memory are others."""
    path = write_backend(tmp_path, "vulkan", start=RUN_MARK)
    subprocess.run(
        [sys.executable, "-c", LIST_DEVICES],
        cwd=tmp_path,
        env={**os.environ, "GGML_BACKEND_PATH": str(path)},
        check=True,
    )
    assert not (tmp_path / "ran").exists()
