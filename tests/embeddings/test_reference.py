"""all-MiniLM-L6-v2 gives the vectors of sentence-transformers, for texts of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from llmlocal import Embedder

from .conftest import OpenEmbedder
from .minilm import WINDOW, minilm
from .texts import LONG

pytestmark = pytest.mark.real_model


@pytest.mark.parametrize(("kind", "least"), [("f32", 0.9999), ("f16", 0.9999), ("q8_0", 0.998)])
def test_vectors_are_the_references(
    open_embedder: OpenEmbedder, reference: dict[str, Any], kind: str, least: float
) -> None:
    embedder = open_embedder(minilm(kind), n_threads=2)
    assert embedder.n_ctx == WINDOW
    expected = np.asarray(reference["minilm"], np.float32)
    together = embedder.embed(reference["texts"])
    assert (together * expected).sum(axis=1).min() >= least
    alone = np.stack([embedder.embed(text) for text in reference["texts"]])
    assert (alone * expected).sum(axis=1).min() >= least


def test_the_window_matters(open_embedder: OpenEmbedder, reference: dict[str, Any]) -> None:
    """Twice as much of a long text, as its file allows, is another vector."""
    whole = open_embedder(minilm("f16"), n_ctx=512)
    expected = reference["minilm"][reference["texts"].index(LONG)]
    assert Embedder.similarity(whole.embed(LONG), expected) < 0.99
