"""The pin is read, moved and written as a requirements file."""

from __future__ import annotations

from pathlib import Path

import fetch
import pin
import pytest

from .archives import COMMIT, HOSTILE, Download, MakeArchive, pin_of, write_pin


def test_the_projects_pin_reads_and_is_written_as_it_stands() -> None:
    path = fetch.HERE / "pin.txt"
    wanted = pin.read_pin(path)
    assert wanted.package == "llama-cpp-python"
    assert len(wanted.facts["commit"]) == 40
    assert pin.format_pin(wanted) == path.read_text(encoding="utf-8")


def test_bump_writes_the_hash_and_the_facts_of_the_new_release(
    good_archive: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_pin(home, pin.Pin("llama-cpp-python", "0.9", "ab" * 32))
    download = Download(good_archive)
    assert fetch.main(["--home", str(home), "--bump", "1.0"], download) == 0
    assert download.requirements == ["llama-cpp-python==1.0"]
    expected = pin_of(good_archive)
    assert pin.read_pin(path) == pin.Pin(
        expected.package,
        "1.0",
        expected.sha256,
        {"commit": COMMIT, "llama.cpp": "4.5.6", "ggml": "unknown"},
    )
    assert "pinned llama-cpp-python==1.0" in capsys.readouterr().out


def test_a_failed_bump_leaves_the_pin(make_archive: MakeArchive, home: Path) -> None:
    path = write_pin(home, pin.Pin("llama-cpp-python", "0.9", "ab" * 32))
    before = path.read_bytes()
    archive = make_archive([HOSTILE["climbs"][0]])
    assert fetch.main(["--home", str(home), "--bump", "1.0"], Download(archive)) == 1
    assert path.read_bytes() == before
