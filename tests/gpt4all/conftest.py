"""A folder of gpt4all's own with a tiny model in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from llmlocal import gpt4all
from llmlocal.gpt4all import GPT4All

from ..conftest import TinyPath

FILE = "tiny.gguf"


@pytest.fixture
def folder(tmp_path: Path, tiny_path: TinyPath, monkeypatch: pytest.MonkeyPatch) -> Path:
    """gpt4all's own folder, with a tiny model in it; there is none anywhere else."""
    folder = tmp_path / "gpt4all"
    folder.mkdir()
    (folder / FILE).symlink_to(tiny_path("llama"))
    monkeypatch.setattr(gpt4all, "DEFAULT_MODEL_DIRECTORY", folder)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setenv("LLMLOCAL_HOME", str(tmp_path / "llmlocal"))
    return folder


@pytest.fixture
def model() -> Iterator[GPT4All]:
    with GPT4All(FILE, n_ctx=512, n_threads=1) as model:
        yield model
