"""Small models that read texts, and the reference's record."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from llmlocal import Embedder, Reranker

from . import tiny_bert
from .bert_gguf import Bert

OpenEmbedder = Callable[..., Embedder]
OpenReranker = Callable[..., Reranker]


@pytest.fixture(scope="session")
def reference() -> dict[str, Any]:
    """What ``record_reference.py`` wrote."""
    path = Path(__file__).with_name("reference.json")
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


@pytest.fixture
def open_embedder(tmp_path: Path) -> Iterator[OpenEmbedder]:
    """Opens embedders: of a file, or of the tiny one; closes them after the test."""
    with ExitStack() as stack:

        def open_model(model: Path | Bert | None = None, **options: Any) -> Embedder:
            path = _written(model or tiny_bert.embedder(), tmp_path)
            return stack.enter_context(Embedder(path, **{**_DEFAULTS, **options}))

        yield open_model


@pytest.fixture
def open_reranker(tmp_path: Path) -> Iterator[OpenReranker]:
    """The same for the tiny cross-encoder."""
    with ExitStack() as stack:

        def open_model(model: Path | Bert | None = None, **options: Any) -> Reranker:
            path = _written(model or tiny_bert.cross_encoder(), tmp_path)
            return stack.enter_context(Reranker(path, **{**_DEFAULTS, **options}))

        yield open_model


@pytest.fixture
def embedder(open_embedder: OpenEmbedder) -> Embedder:
    """The tiny one, of 32 numbers and 64 tokens."""
    return open_embedder()


_DEFAULTS: dict[str, Any] = {"device": "cpu", "n_threads": 1, "progress": False}


def _written(model: Path | Bert, folder: Path) -> Path:
    if isinstance(model, Path):
        return model
    return model.write(folder / f"tiny-{len(list(folder.iterdir()))}.gguf", kind="f32")
