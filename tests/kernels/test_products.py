"""Our products with quantized weights, against float64 and against ggml's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest

from benchmarks.random_weights import random_weights

from .ggml import Array, Ggml, Operand, f32, variants

Kind = gguf.GGMLQuantizationType
GRIDS = [Kind.IQ3_XXS, Kind.IQ3_S, Kind.IQ2_XXS, Kind.IQ2_XS, Kind.IQ2_S]  # slow to make
KINDS = [
    Kind.Q4_0,
    Kind.Q4_1,
    Kind.Q5_0,
    Kind.Q5_1,
    Kind.Q8_0,
    Kind.Q3_K,
    Kind.Q4_K,
    Kind.Q5_K,
    Kind.Q6_K,
    Kind.MXFP4,
    Kind.IQ4_NL,
    Kind.IQ4_XS,
    Kind.Q2_K,
    *GRIDS,
]
LEFT = [Kind.Q2_K, Kind.Q3_K, Kind.Q4_K, Kind.Q5_K, Kind.Q6_K, *GRIDS]  # to ggml, with one column
REPACKED = [Kind.Q4_0, Kind.Q4_K, Kind.MXFP4, Kind.IQ4_NL, Kind.Q2_K]  # that kernels read
# Rows, columns, and length in blocks of the type: of no multiple of what a kernel takes at once.
SHAPES = [
    *((1, 16, 1), (33, 17, 3), (64, 65, 8), (100, 601, 2), (31, 16, 17), (290, 130, 4)),
    *((5, 4, 1), (130, 7, 5), (33, 15, 19)),
]
# Of a few columns: the last eight parts of a row overlap with others, more or less.
FEW = [(1, 1, 8), (131, 1, 18), (61, 2, 9), (300, 2, 31), (7, 3, 15), (64, 3, 16)]


def is_ours(ggml: Ggml, kind: Kind, columns: int) -> bool:
    """Whether so many columns are ours for certain: a few are where ours is faster."""
    if columns <= 2:
        return kind not in LEFT
    return columns >= (5 if "VNNI" in str(ggml.kernels()) else 7)


def exact(weights: Operand, inputs: Array) -> Array:
    kind, (width, rows) = weights.type, weights.shape[:2]
    raw = np.frombuffer(weights.data, np.uint8).reshape(rows, -1)
    values: Array = gguf.dequantize(raw, kind).reshape(rows, width).astype(np.float64)
    return inputs.astype(np.float64) @ values.T


def skip_unless_repacked(ggml: Ggml, kind: Kind) -> None:
    if kind == Kind.Q2_K and "AVX-512" not in str(ggml.kernels()):
        pytest.skip("ggml repacks it for AVX-512 alone")


def error(result: Array, truth: Array) -> float:
    """Normalised mean square."""
    return float(((result - truth) ** 2).sum() / (truth**2).sum())


def weights_of(ggml: Ggml, rng: np.random.Generator, shape: tuple[int, ...], kind: Kind) -> Operand:
    """Weights with rows of different sizes; those of grids are drawn."""
    if kind in GRIDS:
        rows = int(np.prod(shape[:-1]))
        return Operand(kind, shape[::-1], random_weights(rng, (rows, shape[-1]), kind).tobytes())
    weights = rng.standard_normal(shape) * np.exp(rng.standard_normal((*shape[:-1], 1)))
    return ggml.quantized(weights, kind)


def operands(ggml: Ggml, kind: Kind, rows: int, columns: int, width: int) -> tuple[Operand, Array]:
    rng = np.random.default_rng([int(kind), rows, columns, width])
    inputs = rng.standard_normal((columns, width)) * np.exp(rng.standard_normal((columns, 1)))
    inputs[:, :: max(width // 3, 1)] *= 10  # some stand out, as in models
    return weights_of(ggml, rng, (rows, width), kind), inputs.astype(np.float32)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("shape", [*SHAPES, *FEW], ids=str)
def test_products_of_any_shape(ggml: Ggml, kind: Kind, shape: tuple[int, int, int]) -> None:
    rows, columns, blocks = shape
    weights, inputs = operands(ggml, kind, rows, columns, blocks * gguf.GGML_QUANT_SIZES[kind][0])
    truth = exact(weights, inputs)
    ours = ggml.mul_mat(weights, f32(inputs))
    stock = ggml.mul_mat(weights, f32(inputs), reference=True)
    if is_ours(ggml, kind, columns):
        assert not np.array_equal(ours, stock)  # It is ours that ran.
    # Rounding goes either way by chance, of few numbers the more; on average it does not, see below.
    chance = 1.1 if truth.size >= 500 else 3 if truth.size > 1 else 10
    assert error(ours, truth) <= chance * error(stock, truth)
    for threads in (2, 3, 4):
        assert np.array_equal(ggml.mul_mat(weights, f32(inputs), threads=threads), ours)


@pytest.mark.parametrize("kind", REPACKED, ids=lambda kind: kind.name)
@pytest.mark.parametrize(
    "shape", [(8, 11, 1), (40, 17, 3), (64, 65, 8), (104, 601, 2), (296, 130, 5)], ids=str
)
def test_what_ggml_has_repacked_gives_the_same(
    ggml: Ggml, kind: Kind, shape: tuple[int, int, int]
) -> None:
    skip_unless_repacked(ggml, kind)
    rows, columns, blocks = shape
    weights, inputs = operands(ggml, kind, rows, columns, blocks * gguf.GGML_QUANT_SIZES[kind][0])
    ours = ggml.mul_mat(weights, f32(inputs))
    for threads in (1, 3):
        packed = ggml.mul_mat(weights, f32(inputs), repacked=True, threads=threads)
        assert np.array_equal(packed, ours)
    stock = ggml.mul_mat(weights, f32(inputs), repacked=True, reference=True)
    assert not np.array_equal(stock, ours)
    assert error(stock, exact(weights, inputs)) < 1e-3


@pytest.mark.parametrize(
    ("kind", "columns"),
    [(Kind.Q4_0, 1), (Kind.Q4_0, 2), (Kind.Q4_K, 1), (Kind.Q4_K, 5), (Kind.MXFP4, 2)],
)
def test_few_columns_of_repacked_weights_are_left_to_ggml(
    ggml: Ggml, kind: Kind, columns: int
) -> None:
    weights, inputs = operands(ggml, kind, 64, columns, 512)
    stock = ggml.mul_mat(weights, f32(inputs), repacked=True, reference=True)
    for threads in (1, 2):
        result = ggml.mul_mat(weights, f32(inputs), repacked=True, threads=threads)
        assert np.array_equal(result, stock)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_they_are_at_least_as_exact_as_ggmls_own(ggml: Ggml, kind: Kind) -> None:
    ratios = []
    for rows in range(50, 74):
        weights, inputs = operands(ggml, kind, rows, 40, 512)
        truth = exact(weights, inputs)
        ours, stock = (ggml.mul_mat(weights, f32(inputs), reference=ref) for ref in (False, True))
        ratios.append(error(ours, truth) / error(stock, truth))
    assert np.mean(ratios) <= 1.002


@pytest.mark.parametrize(
    ("kind", "columns", "width"),
    [(Kind.Q4_K, 1, 512), (Kind.Q6_K, 2, 512), (Kind.Q4_1, 1, 224), (Kind.Q8_0, 2, 96)],
)
def test_what_is_left_to_ggml(ggml: Ggml, kind: Kind, columns: int, width: int) -> None:
    weights, inputs = operands(ggml, kind, 40, columns, width)
    ours, stock = (ggml.mul_mat(weights, f32(inputs), reference=ref) for ref in (False, True))
    assert error(ours, exact(weights, inputs)) < 1e-3
    assert error(ours, stock) < 1e-9


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_few_columns_are_as_exact_as_ggmls_own(ggml: Ggml, kind: Kind, columns: int) -> None:
    ratios = []
    for rows in range(500, 512):
        weights, inputs = operands(ggml, kind, rows, columns, 768)
        truth = exact(weights, inputs)
        ours, stock = (ggml.mul_mat(weights, f32(inputs), reference=ref) for ref in (False, True))
        ratios.append(error(ours, truth) / error(stock, truth))
    assert np.mean(ratios) <= 1.01


def test_scales_of_any_power_of_two(ggml: Ggml) -> None:
    """The least of MXFP4's are below a float's least exponent."""
    rng = np.random.default_rng(5)
    exponents = np.arange(220, dtype=np.uint8)
    blocks = rng.integers(0, 256, (len(exponents), 9, 17), dtype=np.uint8)
    blocks[:, :, 0] = exponents[:, None]
    weights = Operand(Kind.MXFP4, (9 * 32, len(exponents)), blocks.tobytes())
    inputs = rng.integers(-127, 128, (16, 9 * 32)).astype(np.float32)
    inputs[:, ::32] = 127  # so that nothing is rounded
    truth = exact(weights, inputs) / 2.0 ** (exponents - 128.0)
    for columns in (1, 2, 16):
        ours = ggml.mul_mat(weights, f32(inputs[:columns])) / 2.0 ** (exponents - 128.0)
        assert np.abs(ours - truth[:columns]).max() < 1e-6 * np.abs(truth).max()


def test_columns_of_several_matrices(ggml: Ggml) -> None:
    weights, inputs = operands(ggml, Kind.Q4_1, 40, 3 * 2 * 7, 96)
    flat = ggml.mul_mat(weights, f32(inputs))
    one = operands(ggml, Kind.Q4_1, 40, 3, 320)
    assert np.array_equal(
        ggml.mul_mat(one[0], f32(one[1].reshape(3, 1, 1, 320))).reshape(3, 40),
        ggml.mul_mat(one[0], f32(one[1])),
    )
    several = ggml.mul_mat(weights, f32(inputs.reshape(3, 2, 7, 96)))
    assert several.shape == (3, 2, 7, 40)
    assert np.array_equal(several.reshape(flat.shape), flat)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_zeros_and_the_largest_numbers(ggml: Ggml, kind: Kind) -> None:
    weights, inputs = operands(ggml, kind, 33, 20, 512)
    inputs[3] = 0
    inputs[4] = np.sign(inputs[4]) * 1e30
    inputs[5, 1:] = 0
    truth = exact(weights, inputs)
    ours = ggml.mul_mat(weights, f32(inputs))
    assert np.array_equal(ours[3], np.zeros(33))
    for row in (4, 5):
        assert error(ours[row], truth[row]) < 1e-4


def test_the_largest_codes_are_not_cut_off(ggml: Ggml) -> None:
    """Sums of products of bytes have 16 bits on CPUs without VNNI."""
    rng = np.random.default_rng(3)
    for kind in KINDS:
        signs = rng.choice([-1.0, 1.0], (1, 512))
        if kind in GRIDS:
            weights = weights_of(ggml, rng, (33, 512), kind)
            signs = np.sign(exact(weights, np.eye(512, dtype=np.float32))[:, :1].T)
        else:
            weights = ggml.quantized(np.repeat(signs, 33, 0), kind)
        for columns in (1, 2, 16):
            inputs = np.repeat(signs, columns, 0).astype(np.float32)
            assert error(ggml.mul_mat(weights, f32(inputs)), exact(weights, inputs)) < 1e-9


SWITCHED_OFF = """
import sys
from pathlib import Path
from tests.kernels.ggml import Ggml
print(Ggml(Path(sys.argv[1])).kernels())
"""


@pytest.mark.parametrize("path", variants())
def test_a_variable_switches_them_off(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SWITCHED_OFF, str(path)],
        env={**os.environ, "LLMLOCAL_KERNELS": "0"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "None"
