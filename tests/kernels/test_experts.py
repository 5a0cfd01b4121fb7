"""Our products with the experts of a mixture: plain products, for whom they are chosen."""

from __future__ import annotations

import gguf
import numpy as np
import pytest

from .ggml import Array, Ggml, Operand, f32
from .test_products import KINDS, LEFT, REPACKED, error, skip_unless_repacked, weights_of

# Experts, slots, tokens, rows, and length in blocks: few columns of an expert, and many.
ANSWERS = [(8, 2, 1, 70, 8), (16, 4, 1, 33, 9), (8, 4, 3, 130, 16), (64, 8, 10, 17, 8)]
PROMPTS = [(4, 2, 18, 40, 1), (8, 2, 37, 65, 3), (5, 3, 600, 33, 2), (3, 1, 1100, 9, 1)]
SHAPES = [*ANSWERS, *PROMPTS]


def operands(
    ggml: Ggml, kind: gguf.GGMLQuantizationType, shape: tuple[int, ...], is_shared: bool
) -> tuple[Operand, Array, Array]:
    """Weights, inputs (tokens, one or slots, width), and the experts of each token."""
    experts, slots, tokens, rows, blocks = shape
    width = blocks * gguf.GGML_QUANT_SIZES[kind][0]
    rng = np.random.default_rng([int(kind), *shape])
    weights = weights_of(ggml, rng, (experts, rows, width), kind)
    inputs = rng.standard_normal((tokens, 1 if is_shared else slots, width))
    # Some experts are wanted more than others, and one by nobody.
    liked = np.exp(rng.standard_normal((tokens, experts)) + np.arange(experts) / 4)
    liked[:, 1] = 0
    chosen = np.argsort(-liked, axis=1)[:, :slots]
    return weights, inputs.astype(np.float32), chosen


def one_by_one(ggml: Ggml, weights: Operand, inputs: Array, chosen: Array, fewest: int) -> Array:
    """The same by plain products, of at least so many columns."""
    width, rows, experts = weights.shape
    size = len(weights.data) // experts
    result = np.empty((*chosen.shape, rows), np.float32)
    for expert in range(experts):
        token, slot = np.nonzero(chosen == expert)
        columns = inputs[token, slot % inputs.shape[1]]
        matrix = weights.data[expert * size : (expert + 1) * size]
        at_once = 1 if fewest == 1 else max(len(columns), 1)
        for at in range(0, len(columns), at_once):
            some = columns[at : at + at_once]
            padded = np.concatenate([some] * fewest)
            products = ggml.mul_mat(Operand(weights.type, (width, rows), matrix), f32(padded))
            result[token[at:][: len(some)], slot[at:][: len(some)]] = products[: len(some)]
    return result


@pytest.mark.parametrize("is_shared", [True, False], ids=["shared", "own"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products_with_experts(
    ggml: Ggml, kind: gguf.GGMLQuantizationType, shape: tuple[int, ...], is_shared: bool
) -> None:
    weights, inputs, chosen = operands(ggml, kind, shape, is_shared)
    ours = ggml.mul_mat_id(weights, f32(inputs), chosen)
    stock = ggml.mul_mat_id(weights, f32(inputs), chosen, reference=True)
    if shape in ANSWERS and kind in LEFT:  # left to ggml
        assert error(ours, stock) < 1e-9
        return
    fewest = 1 if shape in ANSWERS else 8
    assert np.array_equal(ours, one_by_one(ggml, weights, inputs, chosen, fewest))
    assert not np.array_equal(ours, stock)  # It is ours that ran.
    assert error(ours, stock) < 1e-3
    for threads in (2, 3):
        again = ggml.mul_mat_id(weights, f32(inputs), chosen, threads=threads)
        assert np.array_equal(again, ours)


@pytest.mark.parametrize("kind", REPACKED, ids=lambda kind: kind.name)
def test_repacked_experts_give_the_same(ggml: Ggml, kind: gguf.GGMLQuantizationType) -> None:
    skip_unless_repacked(ggml, kind)
    weights, inputs, chosen = operands(ggml, kind, (4, 2, 40, 72, 2), True)
    ours = ggml.mul_mat_id(weights, f32(inputs), chosen)
    for threads in (1, 3):
        packed = ggml.mul_mat_id(weights, f32(inputs), chosen, repacked=True, threads=threads)
        assert np.array_equal(packed, ours)
    stock = ggml.mul_mat_id(weights, f32(inputs), chosen, repacked=True, reference=True)
    assert not np.array_equal(stock, ours)
    assert error(stock, ours) < 1e-3
