"""packaging/backends/make.py: the projects of backend packages."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

import llmlocal
from llmlocal._devices._plugins import GROUP

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parents[2]


def load_make() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "make_plugin", ROOT / "packaging" / "backends" / "make.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


make = load_make()


@pytest.mark.parametrize("name", sorted(make.BACKENDS))
def test_a_package_is_locked_to_the_version_and_found_by_its_entry_point(
    name: str, tmp_path: Path
) -> None:
    assert make.main([name, str(tmp_path / "project")]) == 0
    text = (tmp_path / "project" / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    assert project["name"] == f"llmlocal-{name}"
    assert project["version"] == llmlocal.__version__
    assert project["dependencies"] == [f"llmlocal=={llmlocal.__version__}"]
    assert project["entry-points"] == {GROUP: {name: f"llmlocal_{name}:LIBRARY"}}


def test_nothing_is_left_to_fill_in(tmp_path: Path) -> None:
    make.main(["vulkan", str(tmp_path)])
    ours = [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and "third_party" not in path.parts and path.name != "LICENSE"
    ]
    assert len(ours) == 4
    for path in ours:
        assert "@NAME@" not in path.read_text(encoding="utf-8")
        assert not path.name.endswith(".in")


def test_the_library_is_the_one_in_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.main(["vulkan", str(tmp_path)])
    package = tmp_path / "src" / "llmlocal_vulkan"
    (package / "libggml-vulkan.so").touch()
    monkeypatch.syspath_prepend(str(package.parent))
    module = importlib.import_module("llmlocal_vulkan")
    assert str((package / "libggml-vulkan.so").resolve()) == module.LIBRARY


def test_a_folder_with_something_in_it_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").touch()
    assert make.main(["cuda", str(tmp_path)]) == 1
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
