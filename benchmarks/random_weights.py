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
    Type.Q2_K: {80: 1, 82: 1.5},
    Type.Q3_K: {108: 1},
    Type.Q4_K: {0: 1, 2: 7.5},
    Type.Q5_K: {0: 1, 2: 15.5},
    Type.Q6_K: {208: 1},
    Type.IQ4_NL: {0: 1},
    Type.IQ4_XS: {0: 1},
    Type.IQ3_XXS: {0: 1},
    Type.IQ3_S: {0: 1},
    Type.IQ2_XXS: {0: 1},
    Type.IQ2_XS: {0: 1},
    Type.IQ2_S: {0: 1},
}
TYPES: Mapping[str, Type] = {each.name: each for each in (*_HALVES, Type.MXFP4, Type.F16)}

# For rows that are no multiple of 256; llama.cpp's own choices, but for Q3_K's.
_FOR_OTHER_ROWS = {
    Type.Q2_K: Type.Q4_0,
    Type.Q3_K: Type.Q4_0,
    Type.Q4_K: Type.Q5_0,
    Type.Q5_K: Type.Q5_1,
    Type.Q6_K: Type.Q8_0,
    Type.IQ4_XS: Type.IQ4_NL,
    Type.IQ3_XXS: Type.IQ4_NL,
    Type.IQ3_S: Type.IQ4_NL,
    Type.IQ2_XXS: Type.IQ4_NL,
    Type.IQ2_XS: Type.IQ4_NL,
    Type.IQ2_S: Type.IQ4_NL,
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
    _set_scale(random, blocks, kind, 1 / (_spread(kind) * np.sqrt(length)))
    return blocks.reshape(rows, -1)


def _spread(kind: Type) -> float:
    """The standard deviation of weights with a scale of one."""
    random = np.random.default_rng(0)
    blocks = random.integers(0, 256, (1, 1000, gguf.GGML_QUANT_SIZES[kind][1]), dtype=np.uint8)
    _set_scale(random, blocks, kind, 1)
    return float(gguf.dequantize(blocks.reshape(1, -1), kind).std())


def _set_scale(random: np.random.Generator, blocks: np.ndarray, kind: Type, scale: float) -> None:
    if kind == Type.MXFP4:
        blocks[:, :, 0] = _exponents(random, blocks.shape[:2], scale)
        return
    for offset, factor in _HALVES[kind].items():
        half = np.array([scale * factor], np.float16)
        blocks[:, :, offset : offset + 2] = half.view(np.uint8)


def _exponents(random: np.random.Generator, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """Scales that are powers of two: the two next to the one wanted, which is their mean square."""
    lower = np.floor(np.log2(scale))
    share = (4 ** (np.log2(scale) - lower) - 1) / 3  # of the greater one
    exponents: np.ndarray = 127 + lower + (random.random(shape) < share)
    return exponents.astype(np.uint8)
