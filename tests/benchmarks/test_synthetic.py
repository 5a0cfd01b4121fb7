from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest

from benchmarks.random_weights import TYPES, random_weights
from benchmarks.synthetic import (
    SHAPES,
    Shape,
    ensure_model,
    parameters,
    vocabulary,
    write_model,
)
from benchmarks.workloads import text
from llmlocal import LLM


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_model(SHAPES["tiny"], tmp_path_factory.mktemp("models"))


def test_a_written_model_loads_and_answers(tiny: Path) -> None:
    with LLM(tiny, n_ctx=256, n_threads=1, device="cpu", progress=False) as llm:
        answer = llm.generate("1, 2, 3,", max_tokens=20, temp=0)
    assert answer.usage.completion_tokens == 20


def test_the_words_of_the_workloads_are_tokens(tiny: Path) -> None:
    words = text(500, 1)
    with LLM(tiny, n_ctx=256, n_threads=1, device="cpu", progress=False) as llm:
        count = llm.count_tokens(words)
        assert llm.detokenize(llm.tokenize(words)).strip() == words
        assert llm.count_tokens("\nlibrary") == llm.count_tokens("\n") + 1
    assert 500 <= count < 600  # One for each word, and for each full stop.


def test_the_file_has_the_shape_and_the_number_of_weights(tiny: Path) -> None:
    shape = SHAPES["tiny"]
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(tiny).tensors}
    assert sum(int(tensor.n_elements) for tensor in tensors.values()) == parameters(shape)
    assert list(tensors["blk.0.ffn_up.weight"].shape) == [shape.width, shape.inner]
    assert tensors["blk.0.ffn_up.weight"].tensor_type == gguf.GGMLQuantizationType.Q4_0


@pytest.mark.parametrize("name", TYPES)
def test_weights_keep_the_size_of_what_passes_through(name: str) -> None:
    blocks = random_weights(np.random.default_rng(0), (64, 1024), TYPES[name])
    weights = gguf.dequantize(blocks, TYPES[name])
    assert weights.shape == (64, 1024)
    assert weights.std() * np.sqrt(1024) == pytest.approx(1, abs=0.03)
    assert abs(weights.mean()) * np.sqrt(1024) < 0.15  # Four bits of Q4_0 are -8 to 7.


@pytest.mark.parametrize("name", TYPES)
def test_a_model_of_any_type_answers(name: str, tmp_path: Path) -> None:
    """Some rows are of 256 weights, others not: these have another type."""
    path = ensure_model(replace(SHAPES["tiny"], inner=256, type=name), tmp_path)
    kinds = {each.name: each.tensor_type.name for each in gguf.GGUFReader(path).tensors}
    assert kinds["blk.0.ffn_down.weight"] == name
    with LLM(path, n_ctx=256, n_threads=1, device="cpu", progress=False) as llm:
        assert llm.generate("1, 2, 3,", max_tokens=5, temp=0).usage.completion_tokens == 5


def test_a_mixture_of_experts_answers(tmp_path: Path) -> None:
    shape = replace(SHAPES["moe"], layers=1, width=64, inner=96, heads=2, type="MXFP4", vocab=4096)
    tensors = {each.name: each for each in gguf.GGUFReader(ensure_model(shape, tmp_path)).tensors}
    assert sum(int(tensor.n_elements) for tensor in tensors.values()) == parameters(shape)
    down = tensors["blk.0.ffn_down_exps.weight"]
    assert list(down.shape) == [96, 64, 32]
    assert down.tensor_type.name == "MXFP4"
    assert tensors["blk.0.attn_q.weight"].tensor_type.name == "Q8_0"
    path = ensure_model(shape, tmp_path)
    with LLM(path, n_ctx=256, n_threads=1, device="cpu", progress=False) as llm:
        assert llm.generate("1, 2, 3,", max_tokens=5, temp=0).usage.completion_tokens == 5


def test_the_same_seed_writes_the_same_file(tmp_path: Path, tiny: Path) -> None:
    again = ensure_model(SHAPES["tiny"], tmp_path)
    assert again.name == tiny.name
    assert again.read_bytes() == tiny.read_bytes()


def test_a_model_that_is_there_is_not_written_again(tiny: Path) -> None:
    before = tiny.stat().st_mtime_ns
    assert ensure_model(SHAPES["tiny"], tiny.parent) == tiny
    assert tiny.stat().st_mtime_ns == before


def test_another_shape_is_another_file(tmp_path: Path) -> None:
    shape = Shape(layers=1, width=32, inner=64, heads=1, kv_heads=1, vocab=3000)
    assert ensure_model(shape, tmp_path) != ensure_model(SHAPES["tiny"], tmp_path)


def test_a_billion_weights_are_a_billion() -> None:
    assert 1.0e9 < parameters(SHAPES["1b"]) < 1.2e9


def test_a_vocabulary_has_its_size_and_no_token_twice() -> None:
    tokens = [token for token, _, _ in vocabulary(5000)]
    assert len(tokens) == len(set(tokens)) == 5000


def test_a_vocabulary_too_small_for_the_words_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="vocab must be at least"):
        write_model(tmp_path / "model.gguf", Shape(1, 32, 32, 1, 1, vocab=300), seed=0)
