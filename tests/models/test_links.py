"""Files that the package writes, in a folder where somebody else has laid links to the user's own."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from llmlocal._own_files import MAX_NOTE_BYTES, open_own, read_own, replace_own
from llmlocal.errors import DownloadError, ParameterError
from llmlocal.models._catalog._card import Checks
from llmlocal.models._disk._notes import Origin, Record, read_origin, read_record, write_record
from llmlocal.models._names._places import Slot

from .conftest import Fetcher
from .gguf_bytes import small_model
from .hub import Server, digest

MODEL = small_model(100_000)
SECRET = b"what the user keeps"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the user's that nothing here may touch."""
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    return path


Planter = Callable[[Path, Path], None]


def symbolic(name: Path, of: Path) -> None:
    name.symlink_to(of)


def hard(name: Path, of: Path) -> None:
    name.hardlink_to(of)


links = pytest.mark.parametrize("plant", [symbolic, hard])


# --- Downloads -----------------------------------------------------------------------------------


@links
@pytest.mark.parametrize("what", ["part", "origin", "record", "lock", "bad"])
def test_a_download_writes_through_no_link(
    plant: Planter, what: str, secret: Path, server: Server, fetch_file: Fetcher, slot: Slot
) -> None:
    server.files["/model.gguf"] = MODEL
    planted: Path = getattr(slot, what)
    planted.parent.mkdir(parents=True, exist_ok=True)
    plant(planted, secret)

    path = fetch_file(f"{server.url}/model.gguf", checks=Checks(sha256=digest(MODEL)))

    assert secret.read_bytes() == SECRET
    assert path.read_bytes() == MODEL
    assert not path.is_symlink()
    assert path.stat().st_nlink == 1


@pytest.mark.parametrize("what", ["part", "origin", "record"])
def test_a_pipe_in_the_way_is_not_waited_for(
    what: str, server: Server, fetch_file: Fetcher, slot: Slot
) -> None:
    server.files["/model.gguf"] = MODEL
    planted: Path = getattr(slot, what)
    planted.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(planted)

    assert fetch_file(f"{server.url}/model.gguf").read_bytes() == MODEL


def test_a_folder_of_notes_that_is_a_link_is_refused(
    tmp_path: Path, server: Server, fetch_file: Fetcher, slot: Slot
) -> None:
    server.files["/model.gguf"] = MODEL
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    slot.root.mkdir(parents=True)
    slot.record.parent.symlink_to(elsewhere)

    with pytest.raises(DownloadError, match=r"\.llmlocal is a link; remove it"):
        fetch_file(f"{server.url}/model.gguf")

    assert list(elsewhere.iterdir()) == []
    assert read_record(slot) is None
    with pytest.raises(NotADirectoryError):
        write_record(slot, Record(1, "0" * 64, 1))


# --- Notes ---------------------------------------------------------------------------------------

HOSTILE = [
    "[" * 100_000,
    "{" * 100_000,
    '{"file":' * 50_000,
    "9" * 10_000,
    "null",
    '"text"',
    '{"size": 1}',
    "\udc80",
    " " * (MAX_NOTE_BYTES + 1),
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:8])
def test_a_hostile_note_says_nothing(
    text: str, server: Server, fetch_file: Fetcher, slot: Slot
) -> None:
    server.files["/model.gguf"] = MODEL
    for note in (slot.origin, slot.record):
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(text, "utf-8", "surrogatepass")
    assert read_origin(slot) is None
    assert read_record(slot) is None

    assert fetch_file(f"{server.url}/model.gguf").read_bytes() == MODEL


@pytest.mark.parametrize("field", ["size", "sha256", "modified_ns", "md5", "source"])
@pytest.mark.parametrize("value", [[], {}, 1.5, True])
def test_a_note_with_a_value_of_another_type_says_nothing(
    field: str, value: object, slot: Slot
) -> None:
    fields = {"file": slot.relative, **asdict(Record(1, "0" * 64, 1)), field: value}
    slot.record.parent.mkdir(parents=True)
    slot.record.write_text(json.dumps(fields))

    assert read_record(slot) is None


@pytest.mark.parametrize("field", ["url", "validator", "total", "sha256"])
def test_an_origin_with_a_value_of_another_type_says_nothing(field: str, slot: Slot) -> None:
    slot.origin.parent.mkdir(parents=True)
    slot.origin.write_text(json.dumps({**asdict(Origin("http://host")), field: [1]}))

    assert read_origin(slot) is None


# --- Files of the user's own ---------------------------------------------------------------------


@links
def test_a_file_is_replaced_and_not_written_through(
    plant: Planter, secret: Path, tmp_path: Path
) -> None:
    name = tmp_path / "catalog.json"
    plant(name, secret)

    replace_own(name, "new")

    assert secret.read_bytes() == SECRET
    assert name.read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["catalog.json", "secret"]


@links
def test_a_link_is_neither_read_nor_opened(plant: Planter, secret: Path, tmp_path: Path) -> None:
    name = tmp_path / "note"
    plant(name, secret)

    assert read_own(name) is None
    with open_own(name) as file:
        file.write(b"new")

    assert secret.read_bytes() == SECRET
    assert name.read_bytes() == b"new"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="root gives files away")
def test_another_users_file_is_replaced(tmp_path: Path) -> None:
    name = tmp_path / "model.part"
    name.write_bytes(b"theirs")
    os.chown(name, 12345, 12345)

    assert read_own(name) is None
    with open_own(name) as file:
        assert file.read() == b""

    assert name.stat().st_uid == os.geteuid()


def test_a_name_that_changes_between_look_and_opening(
    secret: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The race that somebody with a loop of renames wins now and then."""
    name = tmp_path / "note"
    name.write_bytes(b"mine")
    original = os.open

    def swap(path: Path, flags: int, mode: int = 0o777) -> int:
        monkeypatch.setattr(os, "open", original)
        name.unlink()
        name.hardlink_to(secret)
        return original(path, flags, mode)

    monkeypatch.setattr(os, "open", swap)
    with open_own(name) as file:
        file.write(b"new")

    assert secret.read_bytes() == SECRET


def test_a_write_that_fails_changes_nothing(tmp_path: Path) -> None:
    name = tmp_path / "session.json"
    name.write_text("old")

    with pytest.raises(UnicodeEncodeError):
        replace_own(name, "\udc80")

    assert name.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["session.json"]


def test_a_new_file_is_as_readable_as_any(tmp_path: Path) -> None:
    (tmp_path / "usual").write_text("")
    replace_own(tmp_path / "ours", "")

    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}

    assert len(modes) == 1


# --- Sessions ------------------------------------------------------------------------------------


@links
def test_a_saved_session_goes_through_no_link(plant: Planter, secret: Path, tmp_path: Path) -> None:
    from llmlocal.cli._chat_loop import write_file

    name = tmp_path / "session.json"
    plant(name, secret)

    write_file(str(name), "{}")

    assert secret.read_bytes() == SECRET
    assert name.read_text() == "{}"


def test_a_session_is_saved_to_a_file_alone(tmp_path: Path) -> None:
    from llmlocal.cli._chat_loop import write_file

    with pytest.raises(ParameterError, match="not a regular file"):
        write_file(str(tmp_path), "{}")
    with pytest.raises(ParameterError, match="can't be written"):
        write_file("a\0b", "{}")
