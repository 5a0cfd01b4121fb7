"""Archives to fetch, and a place to fetch them to."""

from __future__ import annotations

from pathlib import Path

import pytest

from .archives import TOP, MakeArchive, good_entries, write_archive


@pytest.fixture
def make_archive(tmp_path: Path) -> MakeArchive:
    """Writes one archive; a second one takes its place."""
    return lambda entries: write_archive(tmp_path / f"{TOP}.tar.gz", entries)


@pytest.fixture
def good_archive(make_archive: MakeArchive) -> Path:
    return make_archive(good_entries())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the source is to appear."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder
