"""pip downloads the pinned distribution; when it can not, one line says why."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import fetch
import pytest

from .archives import pin_of


def fake_pip(folder: Path, output: str, code: int, archive: Path | None = None) -> list[str]:
    """A command that takes pip's place: notes what is asked, brings the archive, and ends."""
    script = folder / "pip.py"
    script.write_text(
        "import shutil, sys\n"
        "def option(name): return sys.argv[sys.argv.index(name) + 1]\n"
        f"shutil.copy(option('--requirement'), {str(folder / 'asked.txt')!r})\n"
        f"print({output!r})\n"
        f"archive = {str(archive) if archive else None!r}\n"
        "if archive: shutil.copy(archive, option('--dest'))\n"
        f"sys.exit({code})\n",
        encoding="utf-8",
    )
    return [sys.executable, str(script)]


MISMATCH = f"""\
ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.
    llama-cpp-python==1.0 from file:///a.tar.gz:
        Expected sha256 {"ab" * 32}
             Got        {"cd" * 32}
"""
OFFLINE = """\
WARNING: Retrying after connection broken by 'NewConnectionError(...): Temporary failure in name resolution')'
ERROR: Could not find a version that satisfies the requirement llama-cpp-python==1.0 (from versions: none)
ERROR: No matching distribution found for llama-cpp-python==1.0
"""


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (MISMATCH, f"==1.0 has sha256 {'cd' * 32}, the pin says {'ab' * 32}"),
        (OFFLINE, "no connection to the package index"),
        ("ERROR: No matching distribution found for x", "No matching distribution found for x"),
        ("ERROR: [Errno 28] No space left on device", "No space left on device"),
        ("Killed", "Killed"),
        ("", "no output"),
    ],
)
def test_pips_failure_becomes_one_line(
    output: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "pip_command", lambda: fake_pip(tmp_path, output, 1))
    with pytest.raises(fetch.FetchError) as caught:
        fetch.pip_download("llama-cpp-python==1.0", tmp_path)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pip_is_asked_by_name_and_hash(
    good_archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "pip_command", lambda: fake_pip(tmp_path, "", 0, good_archive))
    folder = tmp_path / "download"
    folder.mkdir()
    wanted = pin_of(good_archive)
    assert fetch.pip_download(wanted.requirement, folder) == folder / good_archive.name
    assert (tmp_path / "asked.txt").read_text(encoding="utf-8") == wanted.requirement
    assert f"--hash=sha256:{wanted.sha256}" in wanted.requirement


def test_pip_that_brings_nothing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "pip_command", lambda: fake_pip(tmp_path, "", 0))
    with pytest.raises(fetch.FetchError, match="pip brought 0 archives"):
        fetch.pip_download("llama-cpp-python==1.0", tmp_path)


def test_without_pip_the_bundled_one_is_run_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)
    command = fetch.pip_command()
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ".whl" in command[1]
    assert done.stdout.startswith("pip ")


def test_without_any_pip_the_reason_is_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(fetch.FetchError, match="has no pip and no ensurepip"):
        fetch.pip_command()
