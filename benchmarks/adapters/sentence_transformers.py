# ruff: noqa: D102 - the base class says what each method is for
"""sentence-transformers: all-MiniLM-L6-v2 in torch, on float32 weights."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from benchmarks.adapters.adapter import Adapter, Settings, UnsupportedError
from benchmarks.adapters.minilm_onnx import weights_folder
from benchmarks.adapters.serve import serve


class SentenceTransformers(Adapter):
    """One ``SentenceTransformer``; it gives vectors and nothing else."""

    def open_embedder(self, settings: Settings) -> None:
        folder = weights_folder()
        if folder is None:
            raise UnsupportedError("its weights are not installed")
        importlib.import_module("torch").set_num_threads(settings.n_threads)
        self._module: Any = importlib.import_module("sentence_transformers")
        self._model: Any = self._module.SentenceTransformer(str(folder), device="cpu")

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        vectors: Sequence[Sequence[float]] = self._model.encode(
            list(texts), normalize_embeddings=True, show_progress_bar=False
        )
        return vectors

    def version(self) -> str:
        return str(self._module.__version__)


if __name__ == "__main__":
    serve(SentenceTransformers())
