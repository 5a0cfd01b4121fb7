"""Fetching is all or nothing, done once, and fails in one line.

The downloader is a parameter, so nothing leaves the machine.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import fetch
import pin
import pytest
import sdist

from .archives import (
    HOSTILE,
    PARTS,
    TREE,
    Download,
    MakeArchive,
    entry,
    files_in,
    good_entries,
    pin_of,
    write_pin,
)


def test_fetch_puts_the_tree_in_place_and_leaves_nothing_else(
    good_archive: Path, home: Path
) -> None:
    assert fetch.fetch(pin_of(good_archive), home, PARTS, Download(good_archive))
    assert files_in(home) == {"src/LICENSE", "src/src/deep/llama.cpp", f"src/{fetch.STAMP}"}


def test_a_second_run_downloads_nothing(good_archive: Path, home: Path) -> None:
    download = Download(good_archive)
    fetch.fetch(pin_of(good_archive), home, PARTS, download)
    before = (home / "src").stat()
    assert not fetch.fetch(pin_of(good_archive), home, PARTS, download)
    assert len(download.requirements) == 1
    assert (home / "src").stat() == before


def test_more_parts_are_fetched_and_fewer_are_there_already(good_archive: Path, home: Path) -> None:
    download = Download(good_archive)
    fetch.fetch(pin_of(good_archive), home, PARTS, download)
    assert fetch.fetch(pin_of(good_archive), home, PARTS | fetch.TOOL_PARTS, download)
    assert "src/tools/bench.cpp" in files_in(home)
    assert not fetch.fetch(pin_of(good_archive), home, PARTS, download)


def test_another_pin_replaces_the_tree(make_archive: MakeArchive, home: Path) -> None:
    archive = make_archive(good_entries())
    fetch.fetch(pin_of(archive), home, PARTS, Download(archive))
    newer = make_archive([entry(f"{TREE}/LICENSE", b"new"), entry(f"{TREE}/src/new.cpp")])
    assert fetch.fetch(pin_of(newer), home, PARTS, Download(newer))
    assert files_in(home) == {"src/LICENSE", "src/src/new.cpp", f"src/{fetch.STAMP}"}
    assert (home / "src/LICENSE").read_bytes() == b"new"


def test_a_wrong_hash_is_one_line_and_nothing_is_opened(
    make_archive: MakeArchive, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pin(home, pin.Pin("llama-cpp-python", "1.0", "ab" * 32))
    archive = make_archive([*good_entries(), HOSTILE["climbs"][0]])
    assert fetch.main(["--home", str(home)], Download(archive)) == 1
    actual = sdist.sha256_of(archive)
    assert capsys.readouterr().err == (
        f"llama.cpp: error: {archive.name} has sha256 {actual}, the pin says {'ab' * 32}\n"
    )
    assert files_in(home) == {"pin.txt"}


def test_a_failed_download_keeps_what_was_there(
    good_archive: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch.fetch(pin_of(good_archive), home, PARTS, Download(good_archive))
    before = files_in(home / "src")
    write_pin(home, pin.Pin("llama-cpp-python", "2.0", "ab" * 32))

    def no_network(_requirement: str, _folder: Path) -> Path:
        message = "no connection"
        raise fetch.FetchError(message)

    assert fetch.main(["--home", str(home)], no_network) == 1
    assert capsys.readouterr().err == "llama.cpp: error: no connection\n"
    assert files_in(home / "src") == before


def test_a_full_disk_is_one_line(
    good_archive: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_pin(home, pin_of(good_archive))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    assert fetch.main(["--home", str(home)], Download(good_archive)) == 1
    assert capsys.readouterr().err == "llama.cpp: error: [Errno 28] No space left on device\n"
    assert files_in(home) == {"pin.txt"}


@pytest.mark.parametrize("text", ["", "llama-cpp-python==1.0\n", "a==1 --hash=sha256:12\n"])
def test_an_unreadable_pin_is_one_line(
    text: str, home: Path, good_archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "pin.txt").write_text(text, encoding="utf-8")
    assert fetch.main(["--home", str(home)], Download(good_archive)) == 1
    assert "must be one line" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_killed_run_leaves_no_half_tree(good_archive: Path, home: Path) -> None:
    """The child stops in the middle of writing; what is left must not pass for the source."""
    write_pin(home, pin_of(good_archive))
    program = (
        "import sys, shutil, pathlib, fetch, sdist\n"
        "def stop(source, target, *_):\n"
        "    target.write(b'half'); target.flush(); print('writing', flush=True)\n"
        "    sys.stdin.read()\n"
        "sdist.shutil.copyfileobj = stop\n"
        "def download(_, folder):\n"
        f"    return pathlib.Path(shutil.copy({str(good_archive)!r}, folder))\n"
        f"fetch.main(['--home', {str(home)!r}], download)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(fetch.HERE)}
    with subprocess.Popen(
        [sys.executable, "-B", "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as child:
        assert child.stdout is not None
        assert any(line == "writing\n" for line in child.stdout)
        child.send_signal(signal.SIGKILL)
    assert not (home / "src").exists()
    assert not fetch.is_unpacked(home / "src", pin_of(good_archive), PARTS)
    assert fetch.main(["--home", str(home)], Download(good_archive)) == 0
    assert (home / "src/LICENSE").read_bytes() == b"MIT"


def test_what_killed_runs_left_is_swept_when_it_is_old(good_archive: Path, home: Path) -> None:
    old, running = home / ".unpack-old", home / ".unpack-running"
    old.mkdir()
    running.mkdir()
    hours_ago = time.time() - 7200
    os.utime(old, (hours_ago, hours_ago))
    fetch.fetch(pin_of(good_archive), home, PARTS, Download(good_archive))
    assert not old.exists()
    assert running.exists()
