"""The fuzzer of model files, which ``scripts/fuzz`` runs: its files are the same for the same seed."""

from __future__ import annotations

from pathlib import Path
from random import Random

from ..fuzz.mutate import layout_of, mutate
from ..fuzz.run import fuzz
from ..tiny_models import llama


def test_a_seed_makes_the_same_file_again(tmp_path: Path) -> None:
    data = llama(layers=1).write(tmp_path / "model.gguf").read_bytes()
    layout = layout_of(data)
    made = [mutate(data, layout, Random(seed)) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
    assert made[0] != data


def test_some_files_each_time(tmp_path: Path) -> None:
    """A short run of ``scripts/fuzz``."""
    report = fuzz(40, seed=20, folder=tmp_path)
    assert report.failures == {}
    assert (
        {"answered", "ModelLoadError"}
        <= set(report.verdicts)
        <= {
            "answered",
            "ModelLoadError",
            "EngineError",
            "OutOfMemoryError",
            "ParameterError",
            "RequestError",
        }
    )
