"""A source distribution is unpacked whole and inside its folder, or refused."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

import fetch
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
)


def test_only_the_wanted_parts_are_unpacked(good_archive: Path, tmp_path: Path) -> None:
    count = sdist.unpack(good_archive, tmp_path / "out", PARTS)
    assert files_in(tmp_path / "out") == {"LICENSE", "src/deep/llama.cpp"}
    assert count == 2


def test_a_missing_part_is_named(good_archive: Path, tmp_path: Path) -> None:
    with pytest.raises(sdist.ArchiveError, match=r"has no vendor/llama\.cpp/nowhere"):
        sdist.unpack(good_archive, tmp_path / "out", PARTS | {"nowhere"})


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_member_refuses_the_whole_archive(
    name: str, make_archive: MakeArchive, home: Path, tmp_path: Path
) -> None:
    member, reason = HOSTILE[name]
    archive = make_archive([*good_entries(), member])
    with pytest.raises(sdist.ArchiveError, match=reason):
        fetch.fetch(pin_of(archive), home, PARTS, Download(archive))
    assert files_in(home) == set()
    assert files_in(tmp_path) == {archive.name}


def test_a_link_can_not_redirect_a_later_member(make_archive: MakeArchive, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    archive = make_archive(
        [
            entry(f"{TREE}/src/sub", kind=tarfile.SYMTYPE, link=str(outside)),
            entry(f"{TREE}/src/sub/evil", b"x"),
        ]
    )
    with pytest.raises(sdist.ArchiveError, match="link or a device"):
        sdist.unpack(archive, tmp_path / "out", PARTS)
    assert files_in(outside) == set()


def test_an_archive_that_grows_is_refused_before_it_fills_the_disk(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive([entry(f"{TREE}/src/zeros", bytes(1 << 24))])
    assert archive.stat().st_size < 1 << 16
    with pytest.raises(sdist.ArchiveError, match="larger than allowed"):
        sdist.unpack(archive, tmp_path / "out", PARTS, max_bytes=1 << 20)
    assert sum(p.stat().st_size for p in (tmp_path / "out").rglob("*") if p.is_file()) < 1 << 21


def test_what_is_not_wanted_counts_towards_the_size(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    archive = make_archive([entry(f"{TREE}/models/zeros", bytes(1 << 24))])
    with pytest.raises(sdist.ArchiveError, match="larger than allowed"):
        sdist.unpack(archive, tmp_path / "out", PARTS, max_bytes=1 << 20)


def test_too_many_members_are_refused(
    make_archive: MakeArchive,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sdist, "MAX_MEMBERS", 5)
    with pytest.raises(sdist.ArchiveError, match="more than 5 members"):
        sdist.unpack(make_archive(good_entries()), tmp_path / "out", PARTS)


@pytest.mark.parametrize("keep", [0, 10, 200])
def test_a_damaged_archive_is_one_error(good_archive: Path, tmp_path: Path, keep: int) -> None:
    good_archive.write_bytes(good_archive.read_bytes()[:keep])
    with pytest.raises(sdist.ArchiveError, match="is damaged"):
        sdist.unpack(good_archive, tmp_path / "out", PARTS)


def test_what_is_no_tar_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(b"<html>" * 1000))
    with pytest.raises(sdist.ArchiveError, match="is damaged"):
        sdist.unpack(path, tmp_path / "out", PARTS)
