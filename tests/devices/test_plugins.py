"""Backends from other packages: of the same version, from where packages are, or not at all."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

import pytest

from llmlocal import __version__, _core
from llmlocal._devices._plugins import GROUP, Plugin, find_plugins
from llmlocal._devices._runtime import load_plugins


def install(folder: Path, *, version: str = __version__, module: str = "") -> EntryPoint:
    """Put a plugin package into a folder, as pip would; return its entry point."""
    facts = folder / f"llmlocal_fake-{version}.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text(f"Name: llmlocal-fake\nVersion: {version}\n")
    (facts / "entry_points.txt").write_text(f"[{GROUP}]\nfake = llmlocal_fake:LIBRARY\n")
    (folder / "llmlocal_fake.py").write_text(module or "raise RuntimeError('it was imported')")
    [distribution] = distributions(path=[str(folder)])
    [entry] = distribution.entry_points
    return entry


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that modules are imported from."""
    folder = tmp_path / "site"
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "llmlocal_fake", raising=False)
    return folder


def test_a_plugin_is_the_library_that_its_entry_point_names(site: Path, tmp_path: Path) -> None:
    library = tmp_path / "libggml-fake.so"
    library.touch()
    entry = install(site, module=f"LIBRARY = {str(library)!r}")
    assert find_plugins([entry], __version__, tmp_path) == (
        [Plugin("llmlocal-fake", library)],
        [],
    )


def test_another_version_is_refused_before_it_is_imported(site: Path, tmp_path: Path) -> None:
    entry = install(site, version="99.0")
    plugins, [skipped] = find_plugins([entry], "1.2", tmp_path)
    assert plugins == []
    assert str(skipped) == (
        "llmlocal-fake: it is version 99.0, but llmlocal is 1.2; pip install llmlocal-fake==1.2"
    )


def test_nothing_is_taken_from_the_current_directory(site: Path) -> None:
    entry = install(site)
    plugins, [skipped] = find_plugins([entry], __version__, current=site)
    assert plugins == []
    assert "current directory" in skipped.reason


@pytest.mark.parametrize("library", ["libggml-fake.so", "/nowhere/libggml-fake.so"])
def test_a_library_must_be_a_file_with_a_full_path(
    library: str, site: Path, tmp_path: Path
) -> None:
    entry = install(site, module=f"LIBRARY = {library!r}")
    plugins, [skipped] = find_plugins([entry], __version__, tmp_path)
    assert plugins == []
    assert "is not there" in skipped.reason


def test_a_broken_plugin_is_told_and_the_others_are_found(site: Path, tmp_path: Path) -> None:
    library = tmp_path / "libggml-fake.so"
    library.touch()
    broken = install(tmp_path / "broken")
    good = install(site, module=f"LIBRARY = {str(library)!r}")
    nameless = EntryPoint("stranger", "stranger:LIBRARY", GROUP)
    plugins, skipped = find_plugins([nameless, good], __version__, tmp_path)
    assert [plugin.package for plugin in plugins] == ["llmlocal-fake"]
    assert [str(each) for each in skipped] == ["stranger: it belongs to no installed package"]
    assert broken.dist is not None


def test_an_error_of_the_plugins_own_is_told(site: Path, tmp_path: Path) -> None:
    plugins, [skipped] = find_plugins([install(site)], __version__, tmp_path)
    assert plugins == []
    assert skipped.reason == "it was imported"


def test_what_is_no_backend_is_skipped_with_the_reason(tmp_path: Path) -> None:
    text = tmp_path / "libggml-text.so"
    text.write_text("no library")
    other = next(Path(_core.__file__).parent.glob("lib/*llama-llmlocal.*"))
    skipped = load_plugins([Plugin("llmlocal-text", text), Plugin("llmlocal-other", other)])
    assert [each.package for each in skipped] == ["llmlocal-text", "llmlocal-other"]
    assert "failed to load" in skipped[0].reason
    assert "ggml_backend_init" in skipped[1].reason


def test_no_plugin_is_looked_for_when_a_model_runs_on_the_cpu(
    tiny_path: object, tmp_path: Path
) -> None:
    """A GPU's driver costs time and memory, and may be what is broken."""
    install(tmp_path, module="import sys; print('LOADED'); LIBRARY = ''")
    program = textwrap.dedent(
        """
        import sys
        import llmlocal
        with llmlocal.LLM(sys.argv[1], device="cpu", n_ctx=256, progress=False) as llm:
            llm.generate("hello", max_tokens=1)
        print("ASKING")
        llmlocal.devices()
        """
    )
    path = tiny_path("llama")  # type: ignore[operator]  # the fixture's type is a callable
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env={"PYTHONPATH": f"{tmp_path}:{':'.join(sys.path)}", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["ASKING", "LOADED"]
