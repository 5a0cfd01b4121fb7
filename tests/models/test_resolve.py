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
    ChecksumError,
    DownloadCancelledError,
    DownloadError,
    ModelNotFoundError,
    ParameterError,
)

from .gguf_bytes import small_model
from .hub import Fault, Hub, Server, digest

MODEL = small_model()
OTHER = small_model(seed=2)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The models folder that the library uses unless it is told otherwise."""
    folder = tmp_path / "home" / "models"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def catalog_of(home: Path) -> None:
    """A catalog of the user's own with one model at no reachable place."""
    card = {
        "name": "tiny",
        "aliases": ["tiny-alias"],
        "filename": "Tiny.Q4_0.gguf",
        "size_bytes": len(MODEL),
        "sha256": digest(MODEL),
        "sources": [{"https": "https://models.invalid/Tiny.Q4_0.gguf"}],
    }
    (home.parent / "catalog.json").write_text(json.dumps({"version": 1, "models": [card]}))


def put(path: Path, body: bytes = MODEL) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


def test_a_path_wins_over_all(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(home / "model.gguf", OTHER)
    here = put(tmp_path / "here" / "model.gguf")
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
    path = put(home / "My-Model.Q4_0.gguf")

    assert models.resolve(name, allow_download=False) == path


def test_an_installed_model_is_found_by_its_place(home: Path) -> None:
    path = put(home / "owner" / "repo" / "model.gguf")

    assert models.resolve("owner/repo/model", allow_download=False) == path
    assert models.resolve("owner/repo/model.gguf", allow_download=False) == path
    assert models.resolve("model", allow_download=False) == path
    assert models.resolve("hf:owner/repo/model.gguf", allow_download=False) == path


@pytest.mark.usefixtures("catalog_of")
@pytest.mark.parametrize("name", ["tiny", "TINY", "tiny-alias", "Tiny.Q4_0.gguf", "tiny.q4_0"])
def test_a_catalog_name_finds_the_file_on_disk(name: str, home: Path) -> None:
    path = put(home / "Tiny.Q4_0.gguf")

    assert models.resolve(name, allow_download=False) == path


@pytest.mark.usefixtures("catalog_of")
def test_a_catalog_url_finds_the_file_on_disk(home: Path) -> None:
    path = put(home / "Tiny.Q4_0.gguf")

    assert models.resolve("https://models.invalid/Tiny.Q4_0.gguf", allow_download=False) == path


def test_a_catalog_file_is_found_by_its_place_on_the_hub(home: Path) -> None:
    card = {
        "name": "tiny",
        "filename": "m.gguf",
        "sources": [{"https": "https://huggingface.co/o/r/resolve/main/m.gguf"}],
    }
    (home.parent / "catalog.json").write_text(json.dumps({"version": 1, "models": [card]}))
    path = put(home / "m.gguf")

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
    put(home / "model.gguf")

    with pytest.raises(ModelNotFoundError, match="model"):
        models.resolve("model", model_path=tmp_path / "other", allow_download=False)

    path = put(tmp_path / "other" / "model.gguf")
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
    put(home / "My-Model.gguf")

    with pytest.raises(ModelNotFoundError, match=hint):
        models.resolve(name, allow_download=allow_download, progress=False)


def test_a_model_that_is_not_there_says_where_it_would_be(home: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=rf"model\.gguf is not on disk in {home}"):
        models.resolve("hf:owner/repo/model.gguf", allow_download=False)


def test_a_file_of_the_hub_is_fetched_once(hub: Hub, home: Path) -> None:
    hub.add("owner/repo", "dir/model.gguf", MODEL)

    paths = [models.resolve("hf:owner/repo/dir/model.gguf", progress=False) for _ in range(3)]

    assert paths == [home / "owner" / "repo" / "dir" / "model.gguf"] * 3
    assert paths[0].read_bytes() == MODEL
    assert len(hub.front.requests) == len(hub.back.requests) == 1


def test_a_quantisation_is_chosen_from_the_hubs_list(hub: Hub, home: Path) -> None:
    hub.page_size = 2
    for name, body in [("README.md", b"x"), ("m-Q2_K.gguf", OTHER), ("m-Q4_K_M.gguf", MODEL)]:
        hub.add("owner/repo", name, body)

    path = models.resolve("hf:owner/repo:q4_k_m", progress=False)
    requests = len(hub.front.requests)
    again = models.resolve("hf:owner/repo:Q4_K_M", progress=False)
    default = models.resolve("hf:owner/repo", progress=False)

    assert path == again == default == home / "owner" / "repo" / "m-Q4_K_M.gguf"
    assert path.read_bytes() == MODEL
    assert len(hub.front.requests) == requests == 3  # Two pages, one file.


def test_a_quantisation_that_is_not_there_lists_those_that_are(hub: Hub) -> None:
    hub.add("owner/repo", "m-Q2_K.gguf", OTHER)
    hub.add("owner/repo", "m-Q8_0.gguf", MODEL)

    with pytest.raises(ModelNotFoundError, match=r"no model in Q4_K_M; it has Q2_K, Q8_0"):
        models.resolve("hf:owner/repo:Q4_K_M", progress=False)
    with pytest.raises(ModelNotFoundError, match="no model in IQ1_S"):
        models.resolve("hf:owner/repo:IQ1_S", progress=False)


def test_a_list_that_leads_to_another_server_is_not_followed(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.page_size = 1
    hub.add("owner/repo", "m-Q2_K.gguf", OTHER)
    hub.add("owner/repo", "m-Q8_0.gguf", MODEL)
    monkeypatch.setattr(type(hub), "url", hub.back.url)

    with pytest.raises(ModelNotFoundError, match=r"it has Q2_K$"):
        models.resolve("hf:owner/repo:Q8_0", progress=False)

    assert hub.back.requests == []


def test_a_wrong_file_name_is_answered_with_what_was_meant(hub: Hub) -> None:
    hub.add("owner/repo", "model-Q4_K_M.gguf", MODEL)

    with pytest.raises(
        ModelNotFoundError, match=r"no file model-Q4_KM\.gguf; did you mean model-Q4_K_M"
    ):
        models.resolve("hf:owner/repo/model-Q4_KM.gguf", progress=False)
    with pytest.raises(ModelNotFoundError, match=r"no file zzz\.gguf; it has model-Q4_K_M\.gguf"):
        models.resolve("hf:owner/repo/zzz.gguf", progress=False)


@pytest.mark.parametrize("name", ["hf:owner/gone/model.gguf", "hf:owner/gone:Q4_K_M"])
def test_a_repository_that_is_not_there_is_said(name: str, hub: Hub) -> None:
    del hub
    with pytest.raises(ModelNotFoundError, match="the hub has no repository owner/gone"):
        models.resolve(name, progress=False)


def test_a_list_of_nonsense_is_an_error(hub: Hub) -> None:
    hub.front.faults.append(Fault(status=200))

    with pytest.raises(DownloadError, match="list of files in owner/repo cannot be read"):
        models.resolve("hf:owner/repo:Q4_K_M", progress=False)


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


def test_a_split_url_is_one_model(server: Server, home: Path) -> None:
    for n in (1, 2):
        server.files[f"/m-0000{n}-of-00002.gguf"] = small_model(seed=n)

    path = models.pull(f"{server.url}/m-00001-of-00002.gguf?download=true", progress=False)

    assert path == home / "m-00001-of-00002.gguf"
    assert len(server.requests) == 2
    with pytest.raises(ParameterError, match="of one file"):
        models.pull(f"{server.url}/m-00001-of-00002.gguf", size=5, progress=False)


def test_a_split_model_with_a_part_missing_is_not_there(hub: Hub, home: Path) -> None:
    first = put(home / "m-00001-of-00002.gguf")

    assert models.installed() == []
    with pytest.raises(ModelNotFoundError, match=r"m-00002-of-00002\.gguf does not exist"):
        models.resolve(str(first))
    hub.add("owner/repo", "m-Q8_0-00001-of-00002.gguf", MODEL)
    with pytest.raises(ModelNotFoundError, match=r"lacks m-Q8_0-00002-of-00002\.gguf"):
        models.pull("hf:owner/repo:Q8_0", progress=False)
    with pytest.raises(ParameterError, match="of one file"):
        models.pull("hf:owner/repo/x-00001-of-00002.gguf", md5="0" * 32, progress=False)


def test_a_url_is_fetched_once(server: Server, home: Path) -> None:
    server.files["/a/model.gguf"] = MODEL

    paths = [models.resolve(f"{server.url}/a/model.gguf?x={n}", progress=False) for n in range(3)]

    assert paths == [home / "model.gguf"] * 3
    assert len(server.requests) == 1


def test_a_file_of_another_url_is_not_taken_for_it(server: Server) -> None:
    server.files |= {"/a/model.gguf": MODEL, "/b/model.gguf": OTHER}
    models.pull(f"{server.url}/a/model.gguf", progress=False)

    with pytest.raises(DownloadError, match=r"was fetched from .*/a/model\.gguf, not from .*/b/"):
        models.pull(f"{server.url}/b/model.gguf", progress=False)


def test_a_url_that_is_not_there_is_an_error(server: Server) -> None:
    with pytest.raises(ModelNotFoundError, match=r"404 Not Found$"):
        models.pull(f"{server.url}/zzzzzzzzzzzz.gguf", progress=False)
    with pytest.raises(ModelNotFoundError, match=r"404 Not Found; did you mean phi-2 .*catalog\?$"):
        models.pull(f"{server.url}/phi-2.Q4_K_S.gguf", progress=False)


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
        ({"size": 0}, "size must be at least 1, got 0"),
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
    put(home / "model.gguf")
    script = (
        "import sys; from llmlocal import models; models.resolve('model');"
        "print([name for name in ('httpx', 'ssl', 'filelock', 'tqdm', 'zipfile')"
        " if name in sys.modules])"
    )

    output = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout

    assert output.strip() == "[]"
