"""A minute of the fuzzer: no wrong file ends a process, or stops one."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import pytest

from ..fuzz.mutate import layout_of, mutate
from ..tiny_models import llama

if sys.platform != "win32":
    from ..fuzz.run import fuzz


@pytest.mark.skipif(sys.platform == "win32", reason="the limits of memory are of POSIX systems")
def test_wrong_files(tmp_path: Path) -> None:
    report = fuzz(150, seed=1, folder=tmp_path)
    assert report.failures == {}
    assert report.verdicts["answered"] > 0
    assert report.verdicts["ModelLoadError"] > 0


def test_a_seed_makes_the_same_file_again(tmp_path: Path) -> None:
    data = llama(layers=1).write(tmp_path / "model.gguf").read_bytes()
    layout = layout_of(data)
    made = [mutate(data, layout, Random(seed)) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
    assert made[0] != data
