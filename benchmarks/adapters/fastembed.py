# ruff: noqa: D102 - the base class says what each method is for
"""fastembed: all-MiniLM-L6-v2 in onnxruntime, on float32 weights."""

from __future__ import annotations

import importlib
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.adapters.adapter import Adapter, Settings, UnsupportedError
from benchmarks.adapters.minilm_onnx import GRAPH
from benchmarks.adapters.serve import serve
from benchmarks.environments import PEERS, peer_python
from benchmarks.folders import ROOT, SYNTHETIC

_NAME = "all-MiniLM-L6-v2 of sentence-transformers"
_DIMENSIONS = 384
# All texts of a batch are padded to the longest.  On 2 CPUs small batches of texts of like length are
# fastest: 50 of the scenario's texts a second, 40 in batches of 16, 14 in batches of 256 as they come,
# which is its default.
_BATCH = 4


class FastEmbed(Adapter):
    """One ``TextEmbedding``, of the weights that sentence-transformers has."""

    def open_embedder(self, settings: Settings) -> None:
        self._module: Any = importlib.import_module("fastembed")
        described: Any = importlib.import_module("fastembed.common.model_description")
        self._module.TextEmbedding.add_custom_model(
            model=_NAME,
            pooling=described.PoolingType.MEAN,
            normalization=True,
            sources=described.ModelSource(url="it is on the disk"),
            dim=_DIMENSIONS,
            model_file=GRAPH,
        )
        self._model: Any = self._module.TextEmbedding(
            _NAME, threads=settings.n_threads, specific_model_path=str(_exported())
        )

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        # As sentence-transformers and llmlocal do by themselves.
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        vectors = self._model.embed([texts[place] for place in order], batch_size=_BATCH)
        by_place = dict(zip(order, vectors, strict=True))
        return [by_place[place] for place in range(len(texts))]

    def version(self) -> str:
        return str(importlib.import_module("importlib.metadata").version("fastembed"))


def _exported() -> Path:
    """The model in ONNX's format; written by sentence-transformers' environment the first time.

    Raises:
        UnsupportedError: That environment is not there.
    """
    folder = SYNTHETIC / "minilm-onnx"
    if not folder.is_dir():
        python = peer_python(PEERS["sentence-transformers"])
        command = [str(python), "-m", "benchmarks.adapters.minilm_onnx", str(folder)]
        try:
            subprocess.run(command, cwd=ROOT, check=True, stdin=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError):
            why = "its model is made by: python -m benchmarks get sentence-transformers"
            raise UnsupportedError(why) from None
    return folder


if __name__ == "__main__":
    serve(FastEmbed())
