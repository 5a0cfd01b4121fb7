"""Files that people take for a model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmlocal import LLM
from llmlocal.errors import ModelLoadError, ModelNotFoundError
from llmlocal.models._gguf._mistaken import what_else

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 98362432\n"
KINDS = {
    POINTER: "Git LFS pointer.*git lfs pull",
    b"\n <!DOCTYPE html><html>": "a web page",
    b"<html lang=en>": "a web page",
    b"tjgg\1\0\0\0": "GGML format of before",
    b"PK\x03\x04rest": "a ZIP archive",
    b'\x10\0\0\0\0\0\0\0{"__metadata__"': "a safetensors file",
}


@pytest.mark.parametrize(("content", "message"), KINDS.items(), ids=lambda value: repr(value)[:20])
def test_each_kind_is_told(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)

    with pytest.raises(
        ModelLoadError, match=rf"model\.gguf is not a GGUF model: it is .*{message}"
    ):
        LLM(path)


@pytest.mark.parametrize("content", [b"", b"GGUF\3\0\0\0", b"GGU", b"text", b"<xml>"])
def test_of_others_nothing_is_claimed(content: bytes) -> None:
    assert what_else(content) is None


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.gguf")

    with pytest.raises(ModelNotFoundError, match="is not a regular file"):
        LLM(tmp_path / "model.gguf")
