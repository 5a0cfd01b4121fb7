"""Random weights of any type, drawn rather than rounded.

A block's scale is set, and its digits are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping

import gguf
import numpy as np

__all__ = ["TYPES", "random_weights", "type_for"]

Type = gguf.GGMLQuantizationType

# Of each block: where its half-precision numbers are, in units of its scale. Digits are drawn evenly,
# so a minimum in the middle of them makes their mean zero.
_HALVES: Mapping[Type, Mapping[int, float]] = {
    Type.Q4_0: {0: 1},
    Type.Q4_1: {0: 1, 2: -7.5},
    Type.Q5_0: {0: 1},
    Type.Q5_1: {0: 1, 2: -15.5},
    Type.Q8_0: {0: 1},
    Type.Q3_K: {108: 1},
    Type.Q4_K: {0: 1, 2: 7.5},
    Type.Q5_K: {0: 1, 2: 15.5},
    Type.Q6_K: {208: 1},
}
TYPES: Mapping[str, Type] = {each.name: each for each in (*_HALVES, Type.F16)}

# For rows that are no multiple of 256; llama.cpp's own choices, but for Q3_K's.
_FOR_OTHER_ROWS = {
    Type.Q3_K: Type.Q4_0,
    Type.Q4_K: Type.Q5_0,
    Type.Q5_K: Type.Q5_1,
    Type.Q6_K: Type.Q8_0,
}


def type_for(kind: Type, length: int) -> Type:
    """The type that rows of so many weights have in a file of a type."""
    return _FOR_OTHER_ROWS[kind] if length % gguf.GGML_QUANT_SIZES[kind][0] else kind


def random_weights(random: np.random.Generator, size: tuple[int, int], kind: Type) -> np.ndarray:
    """Weights of variance 1 / row length, (rows, bytes) uint8.

    Args:
        random: Where they are drawn from.
        size: Rows, and weights of a row.
        kind: Their type, one of TYPES.
    """
    rows, length = size
    if kind == Type.F16:
        weights = random.standard_normal(size, np.float32) / np.float32(np.sqrt(length))
        halves: np.ndarray = weights.astype(np.float16)
        return halves.view(np.uint8)
    block_length, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    shape = (rows, length // block_length, block_bytes)
    blocks = random.integers(0, 256, shape, dtype=np.uint8)
    _set_scale(blocks, kind, 1 / (_spread(kind) * np.sqrt(length)))
    return blocks.reshape(rows, -1)


def _spread(kind: Type) -> float:
    """The standard deviation of weights with a scale of one."""
    blocks = np.random.default_rng(0).integers(
        0, 256, (1, 1000, gguf.GGML_QUANT_SIZES[kind][1]), dtype=np.uint8
    )
    _set_scale(blocks, kind, 1)
    return float(gguf.dequantize(blocks.reshape(1, -1), kind).std())


def _set_scale(blocks: np.ndarray, kind: Type, scale: float) -> None:
    for offset, factor in _HALVES[kind].items():
        half = np.array([scale * factor], np.float16)
        blocks[:, :, offset : offset + 2] = half.view(np.uint8)
