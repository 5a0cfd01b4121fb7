"""Which of the backends in a folder are looked at, and which kind of CPU's kernels come first."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmlocal import _core

from .backend_files import library_path, needs_compiler, write_backend


def names(libraries: list[_core.BackendLibrary]) -> list[str]:
    return [Path(library.path).stem.rpartition("ggml-")[2] for library in libraries]


@needs_compiler
def test_the_kernels_that_use_most_of_this_cpu_come_first(tmp_path: Path) -> None:
    for name, score in {"haswell": 48, "zen4": 0, "x64": 1, "icelake": 1400}.items():
        write_backend(tmp_path, f"cpu-{name}", score=score)
    found = _core.find_backend_libraries(str(tmp_path))
    assert names(found) == ["cpu-icelake", "cpu-haswell", "cpu-x64", "cpu-zen4"]
    assert [each.score for each in found] == [1400, 48, 1, 0]
    assert [each.fits for each in found] == [True, True, True, False]
    assert not any(each.is_loaded or each.problem for each in found)


@needs_compiler
def test_kernels_that_say_nothing_are_better_than_none(tmp_path: Path) -> None:
    write_backend(tmp_path, "cpu")
    write_backend(tmp_path, "cpu-x64", score=1)
    write_backend(tmp_path, "cpu-zen4", score=0)
    found = _core.find_backend_libraries(str(tmp_path))
    assert names(found) == ["cpu-x64", "cpu", "cpu-zen4"]
    assert found[1].fits


@needs_compiler
def test_a_damaged_file_is_told_and_is_no_candidate(tmp_path: Path) -> None:
    write_backend(tmp_path, "cpu-x64", score=1)
    library_path(tmp_path, "cpu-haswell").write_text("no library")
    good, damaged = _core.find_backend_libraries(str(tmp_path))
    assert good.problem == ""
    assert not damaged.fits
    assert "libggml-cpu-haswell.so" in damaged.problem


@needs_compiler
def test_other_backends_come_after_the_cpu(tmp_path: Path) -> None:
    write_backend(tmp_path, "blas")
    write_backend(tmp_path, "cpu-x64", score=1)
    found = _core.find_backend_libraries(str(tmp_path))
    assert [(name, each.is_cpu) for name, each in zip(names(found), found, strict=True)] == [
        ("cpu-x64", True),
        ("blas", False),
    ]


@pytest.mark.parametrize(
    "file",
    [
        "libggml-llmlocal.so",
        "libggml-base-llmlocal.so",
        "libggml-cpu-llmlocal.so",
        "libggml-cpu-haswell.so.1",
        "libother-cpu-haswell.so",
        "LICENSE.llama.cpp",
    ],
)
def test_what_is_no_backend_is_not_opened(file: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text("opening this would be told as a problem")
    library_path(tmp_path, "cpu-folder").mkdir()
    assert _core.find_backend_libraries(str(tmp_path)) == []


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert _core.find_backend_libraries(str(tmp_path / "nowhere")) == []
