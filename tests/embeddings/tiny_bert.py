"""A small BERT with seeded weights: a cross-encoder or a classifier, the same on every machine.

Its weights have Hugging Face's names, so that ``transformers`` can load them as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import gguf
import numpy as np

from .bert_gguf import Array, Bert
from .texts import PAIRS

WIDTH = 32
HEADS = 4
LAYERS = 2
FEED_FORWARD = 64
POSITIONS = 64
LABELS = ("calm", "cold", "hungry")

_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_WORDS = sorted({word for pair in PAIRS for text in pair for word in text.strip(". ").split()})
_LETTERS = "abcdefghijklmnopqrstuvwxyz.,"
VOCAB = [*_SPECIAL, *_LETTERS, *(f"##{letter}" for letter in _LETTERS[:26]), *_WORDS]


def weights(outputs: int, *, token_types: int = 1, seed: int = 7) -> dict[str, Array]:
    """Large enough that the scores of different texts differ."""
    random = np.random.default_rng(seed)
    drawn: dict[str, Array] = {}

    def matrix(name: str, rows: int, columns: int, scale: float) -> None:
        drawn[f"{name}.weight"] = random.normal(0, scale, (rows, columns)).astype(np.float32)

    def linear(name: str, inputs: int, rows: int) -> None:
        matrix(name, rows, inputs, 1 / inputs**0.5)
        drawn[f"{name}.bias"] = random.normal(0, 0.1, rows).astype(np.float32)

    def norm(name: str) -> None:
        drawn[f"{name}.weight"] = (1 + random.normal(0, 0.1, WIDTH)).astype(np.float32)
        drawn[f"{name}.bias"] = random.normal(0, 0.1, WIDTH).astype(np.float32)

    matrix("embeddings.word_embeddings", len(VOCAB), WIDTH, 1.0)
    matrix("embeddings.position_embeddings", POSITIONS, WIDTH, 0.3)
    matrix("embeddings.token_type_embeddings", token_types, WIDTH, 0.3)
    norm("embeddings.LayerNorm")
    for layer in range(LAYERS):
        block = f"encoder.layer.{layer}"
        for name in ("query", "key", "value"):
            linear(f"{block}.attention.self.{name}", WIDTH, WIDTH)
        linear(f"{block}.attention.output.dense", WIDTH, WIDTH)
        norm(f"{block}.attention.output.LayerNorm")
        linear(f"{block}.intermediate.dense", WIDTH, FEED_FORWARD)
        linear(f"{block}.output.dense", FEED_FORWARD, WIDTH)
        norm(f"{block}.output.LayerNorm")
    if outputs:
        linear("pooler.dense", WIDTH, WIDTH)
        linear("classifier", WIDTH, outputs)
    return drawn


def cross_encoder(*, token_types: int = 1) -> Bert:
    """Gives one score for a pair of texts."""
    return _model(weights(1, token_types=token_types), gguf.PoolingType.RANK)


def classifier(labels: Sequence[str] = LABELS) -> Bert:
    """Tells some classes apart."""
    return _model(weights(3), gguf.PoolingType.RANK, labels)


def embedder(pooling: gguf.PoolingType = gguf.PoolingType.MEAN) -> Bert:
    """Gives vectors."""
    return _model(weights(0), pooling)


def _model(
    tensors: dict[str, Array], pooling: gguf.PoolingType, labels: Sequence[str] = ()
) -> Bert:
    return Bert(VOCAB, tensors, HEADS, pooling, POSITIONS, labels)
