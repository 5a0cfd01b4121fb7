"""What is no model that writes text is refused by what it is, with what to do."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import gguf
import pytest

from llmlocal import LLM, ModelLoadError, ModelNotFoundError, ParameterError

from ..conftest import OpenTiny
from ..tiny_models import llama

FILES = {
    "pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "Git LFS pointer",
    ),
    "page": (b"<!DOCTYPE html><html></html>", "web page"),
    "archive": (b"PK\x03\x04" + bytes(40), "PyTorch"),
    "safetensors": (struct.pack("<Q", 80) + b'{"a":{"dtype":"F32"}}', "safetensors"),
    "old": (b"tjgg" + bytes(40), "GGML format of before"),
    "empty": (b"", "is empty"),
    "text": (b"hello, this is no model at all", "not a GGUF file"),
    "magic": (b"GGUF", "in the middle"),
}


def load(path: Path) -> None:
    LLM(path, device="cpu", n_threads=1, progress=False).close()


@pytest.mark.parametrize("name", FILES)
def test_another_kind_of_file(name: str, tmp_path: Path) -> None:
    data, words = FILES[name]
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    with pytest.raises(ModelLoadError, match=words):
        load(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.timeout(60)
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    os.mkfifo(path)
    with pytest.raises((ModelLoadError, ModelNotFoundError)):
        load(path)


def adapter(writer: gguf.GGUFWriter) -> None:
    writer.add_type("adapter")


def matrix(writer: gguf.GGUFWriter) -> None:
    writer.add_type("imatrix")


def projector(writer: gguf.GGUFWriter) -> None:
    writer.add_type("mmproj")


def nothing(writer: gguf.GGUFWriter) -> None:
    del writer


@pytest.mark.parametrize(
    ("say", "words"),
    [
        (adapter, "LoRA adapter"),
        (matrix, "importance matrix"),
        (projector, "projector"),
        (nothing, "no weights"),
    ],
)
def test_another_kind_of_gguf(
    say: Callable[[gguf.GGUFWriter], None], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    say(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(ModelLoadError, match=words):
        load(path)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({".pooling_type": 1}, "embedding model.*Embedder"),
        ({".pooling_type": 4}, "reranker.*Reranker"),
        ({".attention.causal": False}, "embedding model.*Embedder"),
    ],
)
def test_a_model_that_writes_no_text(
    settings: dict[str, int | bool], words: str, open_tiny: OpenTiny, tmp_path: Path
) -> None:
    path = llama(layers=1).changed(settings=settings).write(tmp_path / "model.gguf")
    with pytest.raises(ModelLoadError, match=words):
        open_tiny(path)


def test_a_pooling_of_none_is_no_embedding_model(open_tiny: OpenTiny, tmp_path: Path) -> None:
    path = llama(layers=1).changed(settings={".pooling_type": 0}).write(tmp_path / "model.gguf")
    assert open_tiny(path).generate("hello", max_tokens=2).usage.completion_tokens == 2


def test_a_pattern_of_any_length(open_tiny: OpenTiny) -> None:
    """std::regex recurses over it."""
    for pattern in ("(" * 50_000 + ")" * 50_000, "a" * 100_000, "(" * 400 + ")" * 400):
        try:
            open_tiny(tensor_placement={pattern: "cpu"})
        except ParameterError:
            continue


@pytest.mark.timeout(60)
def test_many_settings_take_a_time_that_grows_like_their_number(
    open_tiny: OpenTiny, tmp_path: Path
) -> None:
    """llama.cpp's own walk took 40 s for so many."""
    more = {f"x.{i}": i for i in range(50_000)}
    path = llama(layers=1).changed(settings=more).write(tmp_path / "model.gguf")
    assert open_tiny(path).metadata["x.49999"] == "49999"
