"""Opens files for their vocabulary alone."""

from __future__ import annotations

from pathlib import Path

from llmlocal import _core
from llmlocal._devices import _runtime


def load_vocab(path: Path) -> _core.Model:
    _runtime.start()
    return _core.Model.load(
        str(path),
        devices=[],
        gpu_layers=0,
        split_mode="layer",
        tensor_split=[],
        placements=[],
        use_mmap=True,
        check_tensors=False,
        vocab_only=True,
        on_progress=None,
    )
