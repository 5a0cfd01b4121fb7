"""From a name to a file: offline first, in the documented order, whatever the form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from llmlocal import models
from llmlocal._progress import Progress
from llmlocal.errors import (
    ModelNotFoundError,
    ParameterError,
)

from .conftest import put
from .gguf_bytes import small_model
from .hub import Hub

MODEL = small_model()
OTHER = small_model(seed=2)


def test_a_path_wins_over_all(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(home / "model.gguf", OTHER)
    here = put(tmp_path / "here" / "model.gguf", MODEL)
    monkeypatch.chdir(here.parent)

    for name in ("model.gguf", "./model.gguf", str(here), here, Path("model.gguf")):
        assert models.resolve(name).samefile(here)
    assert models.resolve("model.gguf").is_absolute()


@pytest.mark.parametrize("name", ["./gone.gguf", "/no/such/gone.gguf", Path("gone.gguf")])
def test_a_path_that_is_not_there_is_an_error(name: str | Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"gone\.gguf does not exist"):
        models.resolve(name)


@pytest.mark.parametrize("name", ["x" * 5000, "x/" * 3000 + "y", "a\ud800b"], ids=range(3))
def test_a_name_that_no_file_can_have_is_an_error(name: str) -> None:
    for each in (name, f"./{name}"):
        with pytest.raises(ModelNotFoundError, match=r"no file|does not exist"):
            models.resolve(each, progress=False)


@pytest.mark.parametrize("name", [".", "..", "/", "~"])
def test_a_folder_is_no_model(name: str) -> None:
    Path.home().mkdir()

    with pytest.raises(ModelNotFoundError, match=r"is a folder; name a \.gguf file in it"):
        models.resolve(name)


@pytest.mark.parametrize(
    "name", ["My-Model.Q4_0", "My-Model.Q4_0.gguf", "my-model.q4_0", "MY-MODEL.Q4_0.GGUF"]
)
def test_an_installed_model_is_found_by_its_name(name: str, home: Path) -> None:
    path = put(home / "My-Model.Q4_0.gguf", MODEL)

    assert models.resolve(name, allow_download=False) == path


def test_an_installed_model_is_found_by_its_place(home: Path) -> None:
    path = put(home / "owner" / "repo" / "model.gguf", MODEL)

    assert models.resolve("owner/repo/model", allow_download=False) == path
    assert models.resolve("owner/repo/model.gguf", allow_download=False) == path
    assert models.resolve("model", allow_download=False) == path
    assert models.resolve("hf:owner/repo/model.gguf", allow_download=False) == path


@pytest.mark.usefixtures("catalog_of")
@pytest.mark.parametrize("name", ["tiny", "TINY", "tiny-alias", "Tiny.Q4_0.gguf", "tiny.q4_0"])
def test_a_catalog_name_finds_the_file_on_disk(name: str, home: Path) -> None:
    path = put(home / "Tiny.Q4_0.gguf", MODEL)

    assert models.resolve(name, allow_download=False) == path


@pytest.mark.usefixtures("catalog_of")
def test_a_catalog_url_finds_the_file_on_disk(home: Path) -> None:
    path = put(home / "Tiny.Q4_0.gguf", MODEL)

    assert models.resolve("https://models.invalid/Tiny.Q4_0.gguf", allow_download=False) == path


def test_a_catalog_file_is_found_by_its_place_on_the_hub(home: Path) -> None:
    card = {
        "name": "tiny",
        "filename": "m.gguf",
        "sources": [{"https": "https://huggingface.co/o/r/resolve/main/m.gguf"}],
    }
    (home.parent / "catalog.json").write_text(json.dumps({"version": 1, "models": [card]}))
    path = put(home / "m.gguf", MODEL)

    for name in ("hf:o/r/m.gguf", "https://huggingface.co/o/r/blob/main/m.gguf"):
        assert models.resolve(name, allow_download=False) == path


@pytest.mark.usefixtures("catalog_of")
def test_a_catalog_name_does_not_take_a_file_of_another_size(home: Path) -> None:
    path = put(home / "Tiny.Q4_0.gguf", MODEL[:-1])

    with pytest.raises(ModelNotFoundError, match=r"tiny is not on disk.*llmlocal pull tiny"):
        models.resolve("tiny", allow_download=False)
    # The file's own name still means the file.
    assert models.resolve("Tiny.Q4_0.gguf", allow_download=False) == path


def test_an_explicit_folder_is_the_only_one(home: Path, tmp_path: Path) -> None:
    put(home / "model.gguf", MODEL)

    with pytest.raises(ModelNotFoundError, match="model"):
        models.resolve("model", model_path=tmp_path / "other", allow_download=False)

    path = put(tmp_path / "other" / "model.gguf", MODEL)
    assert models.resolve("model", model_path=tmp_path / "other", allow_download=False) == path


@pytest.mark.usefixtures("catalog_of")
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("tinny", "did you mean tiny"),
        ("smolm2-135m-instruct", "did you mean smollm2-135m-instruct"),
        ("My-Modle", "did you mean My-Model"),
        ("smollm2", "did you mean smollm2-135m-instruct or smollm2-1.7b-instruct"),
        ("Llama3.2:1b", "did you mean llama-3.2-1b-instruct or"),
        ("\u6a21\u578b", "no file and no model is called '\u6a21\u578b'; run `llmlocal models`"),
        ("-", "no file and no model is called '-'; run `llmlocal models`"),
        ("zzzzzzzzzzzz", "no file and no model is called 'zzzzzzzzzzzz'; run `llmlocal models`"),
    ],
)
@pytest.mark.parametrize("allow_download", [True, False])
def test_a_near_miss_is_answered_with_what_was_meant(
    name: str, hint: str, allow_download: bool, home: Path
) -> None:
    put(home / "My-Model.gguf", MODEL)

    with pytest.raises(ModelNotFoundError, match=hint):
        models.resolve(name, allow_download=allow_download, progress=False)


def test_a_model_that_is_not_there_says_where_it_would_be(home: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=rf"model\.gguf is not on disk in {home}"):
        models.resolve("hf:owner/repo/model.gguf", allow_download=False)


def test_a_split_model_is_one_model(hub: Hub, home: Path) -> None:
    names = [f"q/m-Q8_0-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
    bodies = [small_model(100_000 * n, seed=n) for n in (1, 2, 3)]
    for name, body in zip(names, bodies, strict=True):
        hub.add("owner/repo", name, body)
    seen: list[Progress] = []

    path = models.pull("hf:owner/repo:Q8_0", progress=seen.append)

    assert path == home / "owner" / "repo" / names[0]
    assert [(home / "owner" / "repo" / name).read_bytes() for name in names] == bodies
    total = sum(map(len, bodies))
    assert seen[-1] == Progress("download", total, total)
    assert [each.done for each in seen] == sorted(each.done for each in seen)
    (model,) = models.installed()
    assert model.size_bytes == total
    assert len(model.paths) == 3
    for name in (model.name, f"hf:owner/repo/{names[2]}", "hf:owner/repo:Q8_0", str(path)):
        assert models.resolve(name, allow_download=False) == path


def test_a_split_model_is_named_by_any_of_its_parts(hub: Hub) -> None:
    for n in (1, 2):
        hub.add("owner/repo", f"m-0000{n}-of-00002.gguf", small_model(seed=n))

    path = models.pull("hf:owner/repo/m-00002-of-00002.gguf", progress=False)

    assert path.name == "m-00001-of-00002.gguf"
    assert path.with_name("m-00002-of-00002.gguf").exists()


def test_a_split_model_with_a_part_missing_is_not_there(hub: Hub, home: Path) -> None:
    first = put(home / "m-00001-of-00002.gguf", MODEL)

    assert models.installed() == []
    with pytest.raises(ModelNotFoundError, match=r"m-00002-of-00002\.gguf does not exist"):
        models.resolve(str(first))
    hub.add("owner/repo", "m-Q8_0-00001-of-00002.gguf", MODEL)
    with pytest.raises(ModelNotFoundError, match=r"lacks m-Q8_0-00002-of-00002\.gguf"):
        models.pull("hf:owner/repo:Q8_0", progress=False)
    with pytest.raises(ParameterError, match="of one file"):
        models.pull("hf:owner/repo/x-00001-of-00002.gguf", md5="0" * 32, progress=False)


def test_the_models_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert models.models_folder() == tmp_path / "home" / "models"
    assert models.models_folder("~/x") == Path.home() / "x"
    monkeypatch.delenv("LLMLOCAL_HOME")
    assert models.models_folder().name == "models"
    assert models.models_folder().parent.name == "llmlocal"


def test_the_public_names_are_all_there() -> None:
    assert dir(models) == sorted(models.__all__)
    assert all(getattr(models, name) is not None for name in models.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = models.nothing


def test_finding_a_file_loads_no_network_library(home: Path) -> None:
    put(home / "model.gguf", MODEL)
    script = (
        "import sys; from llmlocal import models; models.resolve('model');"
        "print([name for name in ('httpx', 'ssl', 'filelock', 'tqdm', 'zipfile')"
        " if name in sys.modules])"
    )

    output = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout

    assert output.strip() == "[]"
