"""Disks that are full, folders that cannot be written, files that are in the way."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import BinaryIO

import pytest

from llmlocal.errors import ChecksumError, DownloadError
from llmlocal.models._catalog._card import Checks
from llmlocal.models._disk import _files as _disk
from llmlocal.models._disk._files import readable_size
from llmlocal.models._disk._notes import Record, read_record, write_record
from llmlocal.models._download._partial import Partial
from llmlocal.models._names._places import Slot

from .conftest import Fetcher
from .gguf_bytes import small_model
from .hub import Fault, Server, digest

MODEL = small_model(2_000_000)
HALF = len(MODEL) // 2
Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 - as shutil's own

SCRIPT = """
import shutil
import sys
from pathlib import Path
from llmlocal.errors import DownloadError
from llmlocal.models._catalog._card import Checks, HttpsSource
from llmlocal.models._download._fetch import Order, fetch
from llmlocal.models._names._places import Slot

shutil.disk_usage = lambda _: type("U", (), {"free": 10**12})
url, folder = sys.argv[1:]
slot = Slot(Path(folder), "model.gguf")
try:
    fetch(Order(slot, [HttpsSource(url)], Checks()), lambda *_: None, slot.target.exists)
except DownloadError as exc:
    print(slot.part.stat().st_size, exc)
"""


class FullAfter:
    """A file on a disk that has room for so many bytes."""

    def __init__(self, file: BinaryIO, room: int) -> None:
        self._file = file
        self._room = room

    def write(self, data: memoryview) -> int:
        if not self._room:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = self._file.write(data[: self._room])
        self._room -= count
        return count

    def close(self) -> None:
        self._file.close()


def run(command: list[str], url: str, folder: Path, limit: int | None = None) -> str:
    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [*command, sys.executable, "-c", SCRIPT, url, str(folder)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=limited,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ).stdout


def test_a_full_disk_is_noticed_before_anything_is_fetched(
    server: Server, fetch_file: Fetcher, slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/model.gguf"] = MODEL
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(9, 9, 1_000_000))

    with pytest.raises(
        DownloadError, match=r"2\.0 MB more are needed.* 1\.0 MB are free; make room"
    ):
        fetch_file(f"{server.url}/model.gguf")

    assert list(slot.part.parent.glob("model*")) == []


def test_only_the_rest_has_to_fit(
    server: Server, fetch_file: Fetcher, slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/model.gguf"] = MODEL
    slot.part.parent.mkdir(parents=True)
    slot.part.write_bytes(MODEL[:-1000])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(9, 9, 1000 + _disk.SPARE_BYTES))

    path = fetch_file(f"{server.url}/model.gguf", checks=Checks(sha256=digest(MODEL)))

    assert path.read_bytes() == MODEL


def test_a_disk_that_fills_up_leaves_a_part_to_resume(
    server: Server, fetch_file: Fetcher, slot: Slot, tmp_path: Path
) -> None:
    mount = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=1m none "$0" && exec "$@"']
    folder = slot.root
    folder.mkdir(parents=True)
    if (
        shutil.which("unshare") is None
        or subprocess.run(
            [*mount, str(folder), "true"], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("no file system of its own can be mounted here")
    server.files["/model.gguf"] = MODEL
    keep = tmp_path / "kept"
    keep.mkdir()
    copying = [*mount[:-1], mount[-1].replace('exec "$@"', f'"$@" && cp -r "$0"/. {keep}')]

    output = run([*copying, str(folder)], f"{server.url}/model.gguf", folder)
    shutil.copytree(keep, folder, dirs_exist_ok=True)
    size = int(output.split()[0])
    server.count_anew()
    path = fetch_file(f"{server.url}/model.gguf")

    assert "is full (No space left on device); what has arrived is kept" in output
    assert 0 < size <= 1 << 20
    assert path.read_bytes() == MODEL
    assert server.bytes_sent == len(MODEL) - size


def test_a_file_system_with_small_files_leaves_a_part_to_resume(
    server: Server, fetch_file: Fetcher, slot: Slot
) -> None:
    server.files["/model.gguf"] = MODEL

    output = run([], f"{server.url}/model.gguf", slot.root, limit=HALF)

    assert f"{HALF} the disk of" in output
    assert "is full (File too large)" in output
    assert fetch_file(f"{server.url}/model.gguf").read_bytes() == MODEL
    assert server.requests[-1].headers["range"] == f"bytes={HALF}-"


def test_a_write_that_fails_leaves_bytes_and_digest_in_step(slot: Slot) -> None:
    with Partial(slot, Checks(sha256=digest(MODEL))) as partial:
        partial.open(lambda *_: None)
        partial.append(MODEL[:1000])
        opened = partial._opened()
        partial._file = FullAfter(opened, 500)  # type: ignore[assignment]  # writes alone are used
        with pytest.raises(DownloadError, match="is full"):
            partial.append(MODEL[1000:])
        assert partial.size == 1500
        opened.close()
    assert slot.part.read_bytes() == MODEL[:1500]

    with Partial(slot, Checks(sha256=digest(MODEL))) as partial:
        partial.open(lambda *_: None)
        partial.append(MODEL[1500:])
        assert partial.finish(partial.checks, "test").read_bytes() == MODEL
        with pytest.raises(DownloadError, match="closed"):
            partial.append(b"more")


def test_a_lock_that_cannot_be_made_is_an_error(
    server: Server, fetch_file: Fetcher, slot: Slot
) -> None:
    slot.lock.mkdir(parents=True)

    with pytest.raises(DownloadError, match="cannot write to"):
        fetch_file(f"{server.url}/model.gguf")


def test_a_note_that_cannot_be_written_is_an_error(
    server: Server, fetch_file: Fetcher, slot: Slot
) -> None:
    server.files["/model.gguf"] = MODEL
    slot.origin.mkdir(parents=True)
    (slot.origin / "in the way").touch()

    with pytest.raises(DownloadError, match="cannot write to"):
        fetch_file(f"{server.url}/model.gguf", checks=Checks(sha256=digest(MODEL)))


def test_a_folder_that_cannot_be_made_is_named(
    server: Server, fetch_file: Fetcher, slot: Slot
) -> None:
    slot.root.parent.mkdir(exist_ok=True)
    slot.root.write_bytes(b"a file, not a folder")

    with pytest.raises(
        DownloadError, match=r"cannot write to .*choose another folder with model_path"
    ):
        fetch_file(f"{server.url}/model.gguf")

    assert server.requests == []


def test_a_read_only_folder_is_named(
    server: Server,
    fetch_file: Fetcher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = os.open

    def refuse(path: str | Path, *arguments: int) -> int:
        if str(path).endswith(".part"):
            raise OSError(errno.EROFS, "Read-only file system")
        return original(path, *arguments)

    monkeypatch.setattr(os, "open", refuse)  # Root may write anywhere, so it is told no.

    with pytest.raises(DownloadError, match=r"cannot write to .*Read-only file system"):
        fetch_file(f"{server.url}/model.gguf")

    assert server.requests == []


@pytest.mark.parametrize("failing", ["replace", "unlink"])
def test_a_failing_file_system_loses_nothing(
    failing: str,
    server: Server,
    fetch_file: Fetcher,
    slot: Slot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.files["/model.gguf"] = MODEL
    original = getattr(Path, failing)

    def refuse(path: Path, *arguments: object, **keywords: object) -> object:
        if path in {slot.part, slot.origin} and slot.part.stat().st_size == len(MODEL):
            raise OSError(errno.EIO, "Input/output error")
        return original(path, *arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(Path, failing, refuse)
        if failing == "replace":
            with pytest.raises(DownloadError, match="Input/output error"):
                fetch_file(f"{server.url}/model.gguf")
            assert not slot.target.exists()
    server.count_anew()

    assert fetch_file(f"{server.url}/model.gguf").read_bytes() == MODEL
    assert failing == "unlink" or server.bytes_sent == 0


def test_bad_bytes_that_cannot_be_set_aside_are_not_named(
    server: Server, fetch_file: Fetcher, slot: Slot
) -> None:
    server.files["/model.gguf"] = MODEL
    server.faults.append(Fault(body=bytes(len(MODEL))))
    slot.bad.mkdir(parents=True)
    (slot.bad / "in the way").touch()

    with pytest.raises(DownloadError, match="cannot write to"):
        fetch_file(f"{server.url}/model.gguf", checks=Checks(sha256=digest(MODEL)))

    assert not slot.target.exists()


def test_bad_bytes_replace_older_bad_bytes(server: Server, fetch_file: Fetcher, slot: Slot) -> None:
    server.files["/model.gguf"] = MODEL
    server.faults.append(Fault(body=bytes(len(MODEL))))
    slot.root.mkdir(parents=True)
    slot.bad.write_bytes(b"older")

    with pytest.raises(ChecksumError, match=r"set aside as model.gguf.bad"):
        fetch_file(f"{server.url}/model.gguf", checks=Checks(sha256=digest(MODEL)))

    assert slot.bad.read_bytes() == bytes(len(MODEL))


def test_a_record_is_kept_of_what_was_fetched(
    server: Server, fetch_file: Fetcher, slot: Slot
) -> None:
    server.files["/model.gguf"] = MODEL

    path = fetch_file(f"{server.url}/model.gguf")

    record = read_record(slot)
    assert record is not None
    assert (record.size, record.sha256) == (len(MODEL), digest(MODEL))
    assert record.source == f"{server.url}/model.gguf"
    assert record.describes(path)
    os.utime(path, ns=(1, 1))
    assert not record.describes(path)
    path.unlink()
    assert not record.describes(path)


def test_a_record_of_another_file_is_none(slot: Slot) -> None:
    write_record(slot, Record(1, "x", 2))
    text = slot.record.read_text().replace("model.gguf", "other.gguf")
    slot.record.write_text(text)

    assert read_record(slot) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"file": "model.gguf"}', '{"file": "model.gguf", "x": 1}']
)
def test_a_damaged_record_is_none(text: str, slot: Slot) -> None:
    slot.record.parent.mkdir(parents=True)
    slot.record.write_text(text)

    assert read_record(slot) is None


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (98_362_432, "98.4 MB"), (999_960_000, "1.0 GB"), (4_431_390_720, "4.4 GB"), (5_000_000_000_000, "5.0 TB")],
)  # fmt: skip
def test_sizes_are_readable(size: int, text: str) -> None:
    assert readable_size(size) == text


def test_folders_are_synced_where_that_is_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _disk.sync(tmp_path)
    monkeypatch.setattr(os, "name", "nt")
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("Windows cannot open a folder"))

    _disk.sync(tmp_path)
