"""Verifying and removing what is on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmlocal import models
from llmlocal._progress import Progress
from llmlocal.errors import (
    ChecksumError,
    DownloadCancelledError,
    DownloadError,
    ModelError,
    ModelNotFoundError,
)
from llmlocal.models._disk._lock import locked
from llmlocal.models._names._places import Slot

from .gguf_bytes import small_model
from .hub import Fault, Hub, Server, digest

MODEL = small_model()
OTHER = small_model(seed=2)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / "models"
    folder.mkdir(parents=True)
    return folder


def put(path: Path, body: bytes = MODEL) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


def damage(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[-1] ^= 1
    path.write_bytes(body)


def test_a_catalog_model_is_held_against_the_catalog(home: Path) -> None:
    card = {"name": "tiny", "filename": "tiny.gguf", "sha256": digest(MODEL)}
    put(home.parent / "catalog.json", json.dumps({"version": 1, "models": [card]}).encode())
    path = put(home / "tiny.gguf")
    seen: list[Progress] = []

    (result,) = models.verify("tiny", progress=seen.append)

    assert (result.path, result.against) == (path, "catalog")
    assert (result.size_bytes, result.sha256) == (len(MODEL), digest(MODEL))
    assert seen[0] == Progress("verify", 0, len(MODEL))
    assert seen[-1] == Progress("verify", len(MODEL), len(MODEL))
    damage(path)
    with pytest.raises(ChecksumError, match=r"expected SHA-256.*llmlocal rm tiny"):
        models.verify("tiny", progress=False)
    assert path.exists()


def test_a_file_of_another_maker_is_not_held_against_the_catalog(home: Path) -> None:
    card = {"name": "tiny", "filename": "m.gguf", "size_bytes": 5, "sha256": digest(OTHER)}
    put(home.parent / "catalog.json", json.dumps({"version": 1, "models": [card]}).encode())
    put(home / "owner" / "repo" / "m.gguf")

    (result,) = models.verify("owner/repo/m", progress=False)

    assert result.against == "structure"


def test_a_downloaded_model_is_held_against_its_record(server: Server, home: Path) -> None:
    server.files["/model.gguf"] = MODEL
    path = models.pull(f"{server.url}/model.gguf", progress=False)

    (result,) = models.verify("model", progress=False)
    assert result.against == "download"

    damage(path)
    with pytest.raises(ChecksumError, match="expected SHA-256"):
        models.verify("model", progress=False)
    assert (home / "model.gguf") == path


def test_a_model_of_the_users_own_is_held_against_its_structure(home: Path) -> None:
    path = put(home / "mine.gguf")

    (result,) = models.verify("mine", progress=False)
    assert result.against == "structure"

    # From now on there is a record, so that damage is noticed.
    damage(path)
    with pytest.raises(ChecksumError, match="expected SHA-256"):
        models.verify("mine", progress=False)


def test_a_model_given_by_its_path_leaves_no_record(tmp_path: Path) -> None:
    path = put(tmp_path / "x" / "mine.gguf")

    (result,) = models.verify(path, progress=False)

    assert result.against == "structure"
    assert list(path.parent.iterdir()) == [path]


def test_a_name_that_the_library_would_not_give_is_verified_all_the_same(home: Path) -> None:
    put(home / "mine?.gguf")

    (result,) = models.verify("mine?", progress=False)

    assert result.against == "structure"


def test_a_file_that_ends_early_is_noticed(home: Path) -> None:
    put(home / "mine.gguf", MODEL[:-64])

    with pytest.raises(ChecksumError, match="incomplete"):
        models.verify("mine", progress=False)


def test_a_split_model_is_verified_whole(hub: Hub) -> None:
    for number in (1, 2):
        hub.add("owner/repo", f"m-Q4_0-0000{number}-of-00002.gguf", small_model(seed=number))
    path = models.pull("hf:owner/repo:Q4_0", progress=False)

    assert [result.against for result in models.verify(path.name, progress=False)] == [
        "download"
    ] * 2
    damage(path.with_name("m-Q4_0-00002-of-00002.gguf"))
    with pytest.raises(ChecksumError, match="00002-of-00002"):
        models.verify("hf:owner/repo:Q4_0", progress=False)


def test_a_read_only_folder_is_verified_without_a_record(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(home / "mine.gguf")

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("llmlocal.models._verify.write_record", refuse)

    assert len(models.verify("mine", progress=False)) == 1


def test_verifying_can_be_cancelled(home: Path) -> None:
    put(home / "mine.gguf")

    with pytest.raises(DownloadCancelledError, match="verify of mine was cancelled"):
        models.verify("mine", progress=lambda _: False)


def test_what_is_not_there_cannot_be_verified() -> None:
    with pytest.raises(ModelNotFoundError, match="gone"):
        models.verify("gone", progress=False)


def test_a_removed_model_leaves_nothing(server: Server, home: Path) -> None:
    server.files["/model.gguf"] = MODEL
    path = models.pull(f"{server.url}/model.gguf", progress=False)

    assert models.remove("model") == [path]

    assert [each.name for each in home.iterdir()] == [".llmlocal"]
    assert [each.suffix for each in (home / ".llmlocal").iterdir()] == [".lock"]
    with pytest.raises(ModelNotFoundError, match="model"):
        models.remove("model")


def test_a_removed_model_of_the_hub_leaves_no_empty_folders(hub: Hub, home: Path) -> None:
    for number in (1, 2):
        hub.add("owner/repo", f"a/m-Q4_0-0000{number}-of-00002.gguf", small_model(seed=number))
    hub.add("owner/other", "n.gguf", MODEL)
    models.pull("hf:owner/repo:Q4_0", progress=False)
    models.pull("hf:owner/other/n.gguf", progress=False)

    removed = models.remove("hf:owner/repo:Q4_0")

    assert len(removed) == 2
    assert sorted(path.name for path in (home / "owner").iterdir()) == ["other"]


@pytest.mark.parametrize("form", ["url", "hub", "card"])
def test_what_a_broken_off_download_left_can_be_removed(form: str, hub: Hub, home: Path) -> None:
    server = hub.back
    server.files["/model.gguf"] = MODEL
    url = hub.add("owner/repo", "model.gguf", MODEL)
    card = {
        "name": "tiny",
        "filename": "model.gguf",
        "sources": [{"https": f"{server.url}/model.gguf"}],
    }
    if form == "card":
        put(home.parent / "catalog.json", json.dumps({"version": 1, "models": [card]}).encode())
    name = {"url": f"{server.url}/model.gguf", "hub": url, "card": "tiny"}[form]
    server.faults.extend([Fault(cut_after=1000), Fault(status=404)])
    with pytest.raises((DownloadError, ModelNotFoundError), match="404"):
        models.pull(name, progress=False)

    (part,) = models.remove(name)

    assert part.suffix == ".part"
    assert sorted(path.name for path in home.iterdir()) == [".llmlocal"]


def test_a_name_that_means_nothing_cannot_be_removed(tmp_path: Path) -> None:
    for name in ("gone", "hf:owner/repo:Q4_0", str(tmp_path / "gone.gguf")):
        with pytest.raises(ModelNotFoundError, match=r"gone|repo"):
            models.remove(name)


def test_a_file_outside_the_folder_is_left_alone(tmp_path: Path) -> None:
    path = put(tmp_path / "x" / "mine.gguf")

    with pytest.raises(ModelError, match="so it is left alone"):
        models.remove(str(path))

    assert path.exists()


def test_a_folder_that_cannot_be_written_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(home / "mine.gguf")

    def refuse(_path: Path, missing_ok: bool = False) -> None:
        del missing_ok
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)

    with pytest.raises(DownloadError, match=r"cannot remove .*Read-only file system"):
        models.remove("mine")


def test_a_model_that_is_being_fetched_is_left_alone(home: Path) -> None:
    slot = Slot(home, "mine.gguf")
    part = put(slot.part)

    with locked(slot, pytest.fail), pytest.raises(ModelError, match=r"mine\.gguf is being fetched"):
        models.remove("https://host/mine.gguf")

    assert part.exists()
    assert models.remove("https://host/mine.gguf") == [part]


def test_a_model_elsewhere_is_removed_from_there(tmp_path: Path) -> None:
    path = put(tmp_path / "other" / "mine.gguf")

    assert models.remove("mine", model_path=tmp_path / "other") == [path]
    assert Slot(tmp_path / "other", "mine.gguf").lock.exists()
