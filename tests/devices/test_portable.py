"""A build that carries the CPU's kernels in all forms runs with the best one, also of a damaged set.

Each test gives a process a changed copy of the package's libraries.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from llmlocal import _core
from llmlocal._devices import _runtime

from ..conftest import TinyPath
from .backend_files import needs_compiler, write_backend

KERNELS = [Path(each.path) for each in _runtime.cpu_libraries()]

pytestmark = pytest.mark.skipif(
    not KERNELS, reason="needs a build with LLMLOCAL_PORTABLE: this one is for one kind of CPU"
)

PROGRAM = textwrap.dedent(
    """
    import json, logging, sys
    from pathlib import Path
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(message)s")
    from llmlocal import DeviceError, LLM
    from llmlocal._devices import _runtime
    _runtime._library_dir = lambda: Path(sys.argv[1])
    try:
        with LLM(sys.argv[2], device="cpu", n_ctx=256, n_threads=1, progress=False) as llm:
            text = llm.generate("hello", max_tokens=8, temp=0)
        used = [Path(each.path).name for each in _runtime.cpu_libraries() if each.is_loaded]
        print(json.dumps({"text": text, "used": used}))
    except DeviceError as exc:
        print(json.dumps({"error": str(exc)}))
    """
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the package's libraries."""
    return Path(shutil.copytree(Path(_core.__file__).parent / "lib", tmp_path / "lib"))


def run(folder: Path, model: Path) -> tuple[dict[str, Any], str]:
    """What a process with these libraries says, and what it logs."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), str(model)],
        cwd=folder.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout), done.stderr


def usable() -> list[str]:
    return [Path(each.path).name for each in _runtime.cpu_libraries() if each.fits]


def test_the_best_is_in_use() -> None:
    first, *others = _runtime.cpu_libraries()
    assert first.is_loaded
    assert first.score == max(each.score for each in [*others, first])
    assert not any(each.is_loaded for each in others)


def test_a_whole_set_is_quiet(folder: Path, tiny_path: TinyPath) -> None:
    said, log = run(folder, tiny_path("llama"))
    assert said["used"] == usable()[:1]
    assert log == ""


def test_where_the_best_is_missing_the_next_is_taken(folder: Path, tiny_path: TinyPath) -> None:
    best, second, *_ = usable()
    (folder / best).unlink()
    said, log = run(folder, tiny_path("llama"))
    assert said["used"] == [second]
    assert log == ""


def test_where_the_best_is_damaged_the_next_is_taken_and_it_is_told(
    folder: Path, tiny_path: TinyPath
) -> None:
    best, second, *_ = usable()
    (folder / best).write_text("no library")
    said, log = run(folder, tiny_path("llama"))
    assert said["used"] == [second]
    assert f"WARNING a backend was not loaded: {best}: " in log


@needs_compiler
def test_one_that_does_not_start_is_passed_over(folder: Path, tiny_path: TinyPath) -> None:
    write_backend(folder, "cpu-future", score=1 << 30)
    said, log = run(folder, tiny_path("llama"))
    assert said["used"] == usable()[:1]
    assert "libggml-cpu-future.so: " in log
    assert "ggml_backend_init returned NULL" in log


def test_each_form_that_this_cpu_can_run_gives_the_same_text(
    folder: Path, tiny_path: TinyPath
) -> None:
    """All instructions of a form are used or none: a wrong score would end the process."""
    texts = {}
    for name in usable():
        said, _ = run(folder, tiny_path("llama"))
        assert said["used"] == [name]
        texts[name] = said["text"]
        (folder / name).unlink()
    assert len(set(texts.values())) == 1, texts


@needs_compiler
@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_without_any_it_is_an_error_and_no_other_place_is_searched(
    damage: str, folder: Path, tiny_path: TinyPath
) -> None:
    for kernels in folder.glob("*ggml-*"):
        if kernels.name in {path.name for path in KERNELS}:
            kernels.unlink() if damage == "missing" else kernels.write_text("no library")
    write_backend(folder.parent, "cpu-x64", score=1, start='fclose(fopen("ran", "w"));')
    said, _ = run(folder, tiny_path("llama"))
    assert "no CPU backend could be loaded" in said["error"]
    assert "install llmlocal again" in said["error"]
    assert (KERNELS[0].name in said["error"]) == (damage == "damaged")
    assert not (folder.parent / "ran").exists()
