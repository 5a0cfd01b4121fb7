"""Patterns of tensor names: those that could be searched for without end are refused before."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from llmlocal import LLM, ModelLoadError, ParameterError

from ..conftest import OpenTiny, TinyPath
from ..tiny_models import llama


@pytest.mark.parametrize(
    "pattern",
    [
        "(a*)*b",
        "(.*)*x",
        "(a|aa)+$",
        "(.+)+.weight",
        r"(a)\1*",
        ".*.*.*.*.*x",
        "a" * 201,
        "((((a*)*)*)*)*",
        ".?" * 60 + "#",
        "(.|..)" * 30 + "#",
        ".{0,20}" * 25 + "#",
    ],
)
def test_one_without_end_is_refused(pattern: str, tiny_path: TinyPath) -> None:
    began = time.monotonic()
    with pytest.raises(ParameterError, match="could take too long to search for"):
        LLM(tiny_path("llama"), device="cpu", tensor_placement={pattern: "cpu"})
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "pattern",
    [
        "ffn_(up|down|gate)_exps",
        r"blk\.(1[0-9]|2[0-9])\.",
        r"blk\..*\.ffn_.*_exps\.weight",
        "^a{1,3}$",
        "blk\\.(" + "|".join(map(str, range(40))) + ")\\.ffn_(up|down|gate)_exps",
    ],
)
def test_those_in_use_are_taken(pattern: str, open_tiny: OpenTiny) -> None:
    llm = open_tiny(tensor_placement={pattern: "cpu"})
    assert llm.generate("hello", max_tokens=2).usage.completion_tokens == 2


def test_a_name_without_end_is_never_searched(tmp_path: Path) -> None:
    weights = np.zeros(32, dtype=np.float32)
    model = llama(layers=1).changed(tensors={"blk.0." + "a" * 10_000_000: weights})
    path = model.write(tmp_path / "model.gguf")
    began = time.monotonic()
    with pytest.raises(ModelLoadError):
        LLM(path, device="cpu", tensor_placement={".*a.*b": "cpu"})
    assert time.monotonic() - began < 5
