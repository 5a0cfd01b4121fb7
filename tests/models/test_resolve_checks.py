"""Digests and sizes that callers and catalogs promise: they judge what is on disk and what comes."""

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
    ParameterError,
)

from .conftest import put
from .gguf_bytes import small_model
from .hub import Hub, Server, digest

MODEL = small_model()
OTHER = small_model(seed=2)


def test_the_callers_digest_is_the_judge_of_a_file_on_disk(server: Server, home: Path) -> None:
    server.files["/model.gguf"] = MODEL
    path = put(home / "model.gguf", OTHER)
    url = f"{server.url}/model.gguf"

    assert models.pull(url, sha256=digest(OTHER), progress=False).read_bytes() == OTHER
    assert server.requests == []
    assert models.pull(url, sha256=digest(MODEL).upper(), progress=False) == path
    assert path.read_bytes() == MODEL


def test_the_callers_size_is_the_judge_of_a_file_on_disk(server: Server, home: Path) -> None:
    server.files["/model.gguf"] = MODEL
    path = put(home / "model.gguf", MODEL + b"more")

    models.pull(f"{server.url}/model.gguf", size=len(MODEL), progress=False)

    assert path.read_bytes() == MODEL


def test_a_split_model_of_the_catalog_is_one_model(server: Server, home: Path) -> None:
    bodies = [small_model(seed=number) for number in (1, 2)]
    for number, body in enumerate(bodies, 1):
        server.files[f"/m-0000{number}-of-00002.gguf"] = body
    card = {
        "name": "tiny",
        "filename": "m-00001-of-00002.gguf",
        "size_bytes": sum(map(len, bodies)),
        "sources": [{"https": f"{server.url}/m-00001-of-00002.gguf"}],
    }
    (home.parent / "catalog.json").write_text(json.dumps({"version": 1, "models": [card]}))

    path = models.pull("tiny", progress=False)

    assert path == models.resolve("tiny", allow_download=False) == home / "m-00001-of-00002.gguf"
    assert path.with_name("m-00002-of-00002.gguf").read_bytes() == bodies[1]


def test_a_part_of_a_split_model_is_resumed_by_the_hubs_digest(hub: Hub, home: Path) -> None:
    bodies = [small_model(seed=number) for number in (1, 2)]
    for number, body in enumerate(bodies, 1):
        hub.add("owner/repo", f"m-Q4_0-0000{number}-of-00002.gguf", body)
    put(home / "owner" / "repo" / "m-Q4_0-00002-of-00002.gguf.part", bodies[1][:5000])
    seen: list[Progress] = []

    models.pull("hf:owner/repo:Q4_0", progress=seen.append)

    assert Progress("verify", 5000, 5000) in seen
    assert hub.back.bytes_sent == sum(map(len, bodies)) - 5000


def test_a_file_on_disk_is_kept_until_the_right_one_is_complete(server: Server, home: Path) -> None:
    server.files["/model.gguf"] = MODEL
    path = put(home / "model.gguf", OTHER)

    with pytest.raises(ChecksumError, match="expected SHA-256"):
        models.pull(f"{server.url}/model.gguf", sha256="0" * 64, progress=False)

    assert path.read_bytes() == OTHER


def test_what_was_verified_is_not_read_again(
    server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del home
    server.files["/model.gguf"] = MODEL
    url = f"{server.url}/model.gguf"
    models.pull(url, sha256=digest(MODEL), progress=False)
    monkeypatch.setattr(
        "llmlocal.models._verify.digest_file", lambda *_, **__: pytest.fail("read again")
    )

    models.pull(url, sha256=digest(MODEL), size=len(MODEL), progress=False)


def test_an_md5_is_enough(server: Server, home: Path) -> None:
    import hashlib

    server.files["/model.gguf"] = MODEL
    md5 = hashlib.md5(MODEL).hexdigest()
    url = f"{server.url}/model.gguf"

    path = models.pull(url, md5=md5, progress=False)

    assert path == home / "model.gguf"
    assert models.pull(url, md5=md5, progress=False) == path
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"sha256": "xyz"}, "sha256 must be 64 hexadecimal digits, got 'xyz'"),
        ({"md5": "0" * 31}, "md5 must be 32 hexadecimal digits"),
        ({"size": 0}, "size must be a whole number"),
    ],
)
def test_checks_of_no_valid_form_are_refused(arguments: dict[str, str], reason: str) -> None:
    with pytest.raises(ParameterError, match=reason):
        models.pull("tiny", **arguments)  # type: ignore[arg-type]  # by name


def test_returning_false_cancels_and_keeps_the_part(server: Server, home: Path) -> None:
    server.files["/model.gguf"] = MODEL

    with pytest.raises(DownloadCancelledError, match=r"download of model.gguf was cancelled"):
        models.pull(f"{server.url}/model.gguf", progress=lambda each: each.done == 0)

    assert (home / "model.gguf.part").exists()
    assert not (home / "model.gguf").exists()


@pytest.mark.usefixtures("catalog_of")
def test_checks_complete_the_catalogs(hub: Hub) -> None:
    del hub
    with pytest.raises(DownloadError, match=r"models\.invalid"):
        models.pull("tiny", size=5, progress=False)
