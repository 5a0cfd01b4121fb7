"""Models of other tools: found where they are, used in place, never touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmlocal import models
from llmlocal.errors import ChecksumError, ModelError, ModelNotFoundError

from .gguf_bytes import small_model
from .hub import Hub, digest

MODEL = small_model()
OTHER = small_model(seed=2)


def put(path: Path, body: bytes = MODEL) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


def hugging_face(
    cache: Path, repository: str, name: str, commit: str = "c1", body: bytes = MODEL
) -> Path:
    """A file as the hub's own client keeps it: a link to a blob named by its digest."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    blob = put(folder / "blobs" / digest(body), body)
    path = folder / "snapshots" / commit / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(blob)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(commit)
    return path


def ollama(folder: Path, name: str, body: bytes = MODEL) -> Path:
    """A model as Ollama keeps it: a manifest that names a blob."""
    blob = put(folder / "blobs" / f"sha256-{digest(body)}", body)
    layers = [
        {"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:" + "0" * 64},
        {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest(body)}"},
    ]
    put(folder / "manifests" / name, json.dumps({"layers": layers}).encode())
    return blob


def found(name: str) -> tuple[Path, str]:
    model = models.find(name)
    return model.path, model.tool


def test_gpt4all_models_are_found() -> None:
    python = put(Path.home() / ".cache" / "gpt4all" / "a.gguf")
    desktop = put(Path.home() / ".local" / "share" / "nomic.ai" / "GPT4All" / "b.gguf")

    assert found("a") == (python, "gpt4all")
    assert found("b.gguf") == (desktop, "gpt4all")


@pytest.mark.parametrize(
    ("variable", "value", "cache"),
    [
        ("", "", "user/.cache/huggingface/hub"),
        ("XDG_CACHE_HOME", "xdg", "xdg/huggingface/hub"),
        ("HF_HOME", "hf", "hf/hub"),
        ("HF_HUB_CACHE", "hub", "hub"),
        ("HUGGINGFACE_HUB_CACHE", "hub", "hub"),
    ],
)
def test_the_hubs_cache_is_found(
    variable: str, value: str, cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / value))
    path = hugging_face(tmp_path / cache, "owner/my-repo", "dir/m-Q4_K_M.gguf")

    for name in ("hf:owner/my-repo/dir/m-Q4_K_M.gguf", "hf:owner/my-repo:Q4_K_M", "m-Q4_K_M"):
        assert found(name) == (path, "huggingface")


def test_the_newest_snapshot_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    hugging_face(tmp_path, "owner/repo", "m.gguf", "c1", OTHER)
    newest = hugging_face(tmp_path, "owner/repo", "m.gguf", "c2")
    hugging_face(tmp_path, "owner/repo", "old.gguf", "c0", OTHER)
    (tmp_path / "models--owner--repo" / "refs" / "main").write_text("c2")

    assert found("hf:owner/repo/m.gguf")[0] == newest
    assert found("hf:owner/repo/old.gguf")[0].name == "old.gguf"


def test_another_revision_is_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    hugging_face(tmp_path, "owner/repo", "m-Q4_0.gguf")

    for name in ("hf:owner/repo@v2/m-Q4_0.gguf", "hf:owner/repo@v2:Q4_0"):
        with pytest.raises(ModelNotFoundError, match="not on disk"):
            models.find(name)


def test_lm_studio_models_are_found(tmp_path: Path) -> None:
    path = put(Path.home() / ".lmstudio" / "models" / "owner" / "repo" / "m.gguf")
    old = put(Path.home() / ".cache" / "lm-studio" / "models" / "owner" / "old" / "n.gguf")
    moved = put(tmp_path / "moved" / "models" / "owner" / "new" / "o.gguf")
    put(Path.home() / ".lmstudio-home-pointer", str(tmp_path / "moved").encode())

    assert found("owner/repo/m") == (path, "lmstudio")
    assert found("hf:owner/repo/m.gguf") == (path, "lmstudio")
    assert found("n") == (old, "lmstudio")
    assert found("o") == (moved, "lmstudio")


def test_ollama_models_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path.home() / ".ollama" / "models"
    library = ollama(home, "registry.ollama.ai/library/llama3.2/1b")
    latest = ollama(home, "registry.ollama.ai/someone/model/latest", OTHER)

    assert found("llama3.2:1b") == (library, "ollama")
    assert found("someone/model:latest") == (latest, "ollama")
    assert found("someone/model") == (latest, "ollama")
    with pytest.raises(ModelNotFoundError, match=r"llama3.2"):
        models.find("llama3.2")

    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "elsewhere"))
    elsewhere = ollama(tmp_path / "elsewhere", "hf.co/owner/repo/q4")
    assert found("hf.co/owner/repo:q4") == (elsewhere, "ollama")


@pytest.mark.parametrize(
    "manifest", [b"", b"[]", b"{}", b'{"layers": [{}]}', b'{"layers": [{"mediaType": "x"}]}',
                 b'{"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:../x"}]}',
                 b'{"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:' + b"0" * 64 + b'"}]}'],
)  # fmt: skip
def test_a_damaged_manifest_is_no_model(manifest: bytes) -> None:
    put(Path.home() / ".ollama" / "models" / "manifests" / "h" / "n" / "m" / "t", manifest)

    assert models.installed() == []


def test_folders_that_cannot_be_read_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    put(Path.home() / ".cache" / "gpt4all" / "a.gguf")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "is_file", refuse)
        assert models.installed() == []
    with monkeypatch.context() as patch:
        patch.setattr(Path, "glob", refuse)
        assert models.installed() == []


def test_a_link_that_leads_nowhere_is_no_model() -> None:
    path = Path.home() / ".cache" / "gpt4all" / "a.gguf"
    path.parent.mkdir(parents=True)
    path.symlink_to("gone")

    assert models.installed() == []


def test_a_catalog_model_is_found_by_its_digest_or_by_name_and_size(tmp_path: Path) -> None:
    cards = [
        {"name": "one", "filename": "One.gguf", "size_bytes": len(MODEL), "sha256": digest(MODEL)},
        {"name": "two", "filename": "Two.gguf", "size_bytes": len(OTHER)},
        {"name": "third", "filename": "Three.gguf", "size_bytes": 5},
    ]
    put(tmp_path / "home" / "catalog.json", json.dumps({"version": 1, "models": cards}).encode())
    blob = ollama(Path.home() / ".ollama" / "models", "h/n/m/t")
    named = put(Path.home() / ".cache" / "gpt4all" / "Two.gguf", OTHER)
    put(Path.home() / ".cache" / "gpt4all" / "Three.gguf", OTHER)

    assert found("one") == (blob, "ollama")
    assert found("two")[0] == named
    with pytest.raises(ModelNotFoundError, match="third is not on disk"):
        models.find("third")


def test_split_models_of_other_tools_are_one_model() -> None:
    folder = Path.home() / ".lmstudio" / "models" / "owner" / "repo"
    first = put(folder / "m-00001-of-00002.gguf")
    assert models.installed() == []
    put(folder / "m-00002-of-00002.gguf")

    (model,) = models.installed()

    assert (model.path, len(model.paths), model.size_bytes) == (first, 2, 2 * len(MODEL))
    assert found("hf:owner/repo/m-00002-of-00002.gguf")[0] == first
    assert found("m")[0] == first


def test_an_explicit_folder_hides_other_tools(tmp_path: Path) -> None:
    put(Path.home() / ".cache" / "gpt4all" / "a.gguf")

    assert models.installed(tmp_path) == []
    assert [model.tool for model in models.installed()] == ["gpt4all"]


def test_what_another_tool_holds_costs_no_request(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    hub.add("owner/repo", "m-Q4_K_M.gguf", MODEL)
    path = hugging_face(tmp_path / "hub", "owner/repo", "m-Q4_K_M.gguf")

    for name in ("hf:owner/repo:Q4_K_M", "hf:owner/repo/m-Q4_K_M.gguf"):
        assert models.resolve(name, progress=False) == path
        assert models.pull(name, progress=False) == path
        assert models.pull(name, sha256=digest(MODEL), progress=False) == path
    assert hub.front.requests == []


def test_another_tools_file_that_is_not_the_promised_one_is_left_alone(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    hub.add("owner/repo", "m.gguf", MODEL)
    theirs = hugging_face(tmp_path / "hub", "owner/repo", "m.gguf", body=OTHER)

    path = models.pull("hf:owner/repo/m.gguf", sha256=digest(MODEL), progress=False)

    assert path == tmp_path / "home" / "models" / "owner" / "repo" / "m.gguf"
    assert theirs.read_bytes() == OTHER


def test_another_tools_file_is_never_removed() -> None:
    path = put(Path.home() / ".cache" / "gpt4all" / "a.gguf")

    with pytest.raises(ModelError, match=r"a\.gguf is not in .*, so it is left alone"):
        models.remove("a")

    assert path.exists()


def test_another_tools_file_is_verified_by_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    path = hugging_face(tmp_path, "owner/repo", "m.gguf")

    (result,) = models.verify("hf:owner/repo/m.gguf", progress=False)
    assert (result.path, result.against, result.sha256) == (path, "tool", digest(MODEL))

    path.resolve().write_bytes(OTHER[: len(MODEL)])
    with pytest.raises(ChecksumError, match="expected SHA-256") as caught:
        models.verify("hf:owner/repo/m.gguf", progress=False)
    assert "llmlocal rm" not in str(caught.value)
