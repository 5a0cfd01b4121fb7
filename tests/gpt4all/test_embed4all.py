"""Embed4All and GPT4All.model do what gpt4all 2.8.2's do."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from llmlocal.gpt4all import CancellationError, Embed4All, GPT4All
from llmlocal.gpt4all import gpt4all as inner
from tests.conftest import TinyPath
from tests.embeddings import tiny_bert

LONG = "the old mill wheel froze " * 40


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """gpt4all's folder, with its models for embeddings, and a model that chats."""
    monkeypatch.setattr(inner, "DEFAULT_MODEL_DIRECTORY", tmp_path)
    for name in ("all-MiniLM-L6-v2.gguf2.f16.gguf", "nomic-embed-text-v1.5.f16.gguf"):
        tiny_bert.embedder().write(tmp_path / name, kind="f32")
    return tmp_path


@pytest.fixture
def embedder(folder: Path) -> Iterator[Embed4All]:
    del folder
    with Embed4All(allow_download=False) as model:
        yield model


def test_the_default_model_is_minilm(embedder: Embed4All) -> None:
    assert embedder.config["filename"] == "all-MiniLM-L6-v2.gguf2.f16.gguf"
    assert embedder.device is None
    assert embedder.backend == "cpu"


def test_lists_of_floats(embedder: Embed4All) -> None:
    one = embedder.embed("the river")
    assert isinstance(one, list)
    assert len(one) == 32
    assert isinstance(one[0], float)
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)
    many = embedder.embed(["the river", "bread"])
    assert many[0] == pytest.approx(one, abs=2e-3)
    result = embedder.embed(["the river", "bread"], return_dict=True)
    assert result["embeddings"][1] == pytest.approx(many[1], abs=2e-3)
    assert result["n_prompt_tokens"] == 4 + 3


def test_prefixes_are_known_by_the_model(folder: Path) -> None:
    del folder
    with Embed4All("nomic-embed-text-v1.5.f16.gguf", allow_download=False) as model:
        raw = model.embedder
        default = model.embed("bread")
        assert default == pytest.approx(raw.embed("search_document: bread"), abs=2e-3)
        asked = model.embed("bread", prefix="search_query")
        assert asked == pytest.approx(raw.embed("search_query: bread"), abs=2e-3)
        assert model.embed("bread", prefix="") == pytest.approx(raw.embed("bread"), abs=2e-3)


def test_long_texts(embedder: Embed4All) -> None:
    raw = embedder.embedder
    assert embedder.embed(LONG) == pytest.approx(raw.embed(LONG, truncate="mean"), abs=2e-3)
    cut = embedder.embed(LONG, long_text_mode="truncate", return_dict=True)
    assert cut["embeddings"] == pytest.approx(raw.embed(LONG), abs=2e-3)
    assert cut["n_prompt_tokens"] == raw.n_ctx
    with pytest.raises(ValueError, match="8192"):
        embedder.embed("bread " * 9000, atlas=True)


def test_dimensionality(embedder: Embed4All) -> None:
    with pytest.warns(UserWarning, match="suggested minimum of 64"):
        assert len(embedder.embed("bread", dimensionality=8)) == 8
    with pytest.raises(ValueError, match="positive"):
        embedder.embed("bread", dimensionality=0)


def test_values_out_of_range(embedder: Embed4All) -> None:
    with pytest.raises(ValueError, match="empty"):
        embedder.embed("")
    with pytest.raises(ValueError, match="empty"):
        embedder.embed([])
    with pytest.raises(ValueError, match="'mean' or 'truncate'"):
        embedder.embed("bread", long_text_mode="cut")


def test_cancelling(embedder: Embed4All) -> None:
    told: list[tuple[list[int], str]] = []

    def cancel(sizes: list[int], backend: str) -> bool:
        told.append((sizes, backend))
        return True

    with pytest.raises(CancellationError):
        embedder.embed(["the river", "bread"], cancel_cb=cancel)
    assert told == [([4, 3], "cpu")]


def test_a_closed_model_is_a_value_error(embedder: Embed4All) -> None:
    embedder.close()
    with pytest.raises(ValueError, match="closed"):
        embedder.embed("bread")


# --- GPT4All.model -------------------------------------------------------------------------------


def test_threads_are_set_and_told(tiny_path: TinyPath) -> None:
    with GPT4All(tiny_path("llama"), n_threads=1) as model:
        before = model.generate("hello", max_tokens=4, temp=0)
        assert model.model.thread_count() == 1
        model.model.set_thread_count(2)
        assert model.model.thread_count() == model.llm.n_threads == 2
        assert model.generate("hello", max_tokens=4, temp=0) == before
        loaded = model.llm
        model.model.set_thread_count(2)
        assert model.llm is loaded
        with pytest.raises(ValueError, match="n_threads"):
            model.model.set_thread_count(0)
        assert model.model.thread_count() == 2
        with (
            model.chat_session(prompt_template="{0}"),
            pytest.raises(ValueError, match="chat session"),
        ):
            model.model.set_thread_count(1)


def test_facts_of_the_inner_model(tiny_path: TinyPath) -> None:
    with GPT4All(tiny_path("llama"), n_ctx=256) as model:
        assert model.model.model_type == "llama"
        assert model.model.n_ctx == 256
        assert model.model.backend == "cpu"
        assert model.model.device is None
        assert model.model.model_path == str(tiny_path("llama")).encode()
    with GPT4All(tiny_path("llama"), model_type="mine") as model:
        assert model.model.model_type == "mine"


# --- Programs that know gpt4all ------------------------------------------------------------------


@pytest.fixture
def as_gpt4all(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of that name that has what ours has."""
    module = ModuleType("gpt4all")
    module.__dict__.update(GPT4All=GPT4All, Embed4All=Embed4All, gpt4all=inner)
    monkeypatch.setitem(sys.modules, "gpt4all", module)
    return module


def integration(name: str) -> Any:
    """What the extra "integrations" installs; skips the test where it is not."""
    pytest.importorskip(name.partition(".")[0], reason='pip install "llmlocal[integrations]"')
    return importlib.import_module(name)


@pytest.mark.filterwarnings("ignore")
def test_langchains_model(as_gpt4all: ModuleType, tiny_path: TinyPath) -> None:
    del as_gpt4all
    community = integration("langchain_community.llms")
    model = community.GPT4All(model=str(tiny_path("llama")), n_threads=2)
    assert model.client.model.thread_count() == 2
    answer = model.invoke("hello", max_tokens=5)
    assert isinstance(answer, str)
    assert answer
    model.client.close()


@pytest.mark.filterwarnings("ignore")
def test_langchains_embeddings(as_gpt4all: ModuleType, folder: Path) -> None:
    del as_gpt4all, folder
    community = integration("langchain_community.embeddings")
    model = community.GPT4AllEmbeddings(gpt4all_kwargs={"allow_download": False})
    assert len(model.embed_query("the river")) == 32
    assert np.asarray(model.embed_documents(["the river", "bread"])).shape == (2, 32)
    model.client.close()


@pytest.mark.filterwarnings("ignore")
def test_the_plugin_of_llm(
    as_gpt4all: ModuleType, tiny_path: TinyPath, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del as_gpt4all
    monkeypatch.setenv("LLM_USER_PATH", str(folder))
    integration("llm")
    monkeypatch.delitem(sys.modules, "llm_gpt4all", raising=False)
    plugin = integration("llm_gpt4all")
    monkeypatch.setattr(plugin, "GPT4ALL_MODEL_DIRECTORY", folder)
    (folder / "tiny.gguf").write_bytes(tiny_path("llama").read_bytes())
    model = plugin.Gpt4AllModel({"filename": "tiny.gguf", "filesize": "1", "promptTemplate": "%1"})
    assert model.is_installed()
    assert model.prompt("hello", max_tokens=5).text()
