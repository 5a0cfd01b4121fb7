"""Our products with weights that are floats, against float64 and against ggml's own."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from .ggml import Array, Ggml, Operand, f32
from .test_products import error, exact

Kind = gguf.GGMLQuantizationType
KINDS = [Kind.F16, Kind.BF16]
# Rows, columns, and length: of no multiple of what a kernel takes at once.
SHAPES = [
    *((256, 32, 1), (257, 33, 7), (259, 35, 384), (384, 67, 384), (269, 64, 513), (287, 600, 129)),
    *((256, 70, 2000), (290, 69, 640), (263, 97, 8)),
]
SHORT_ROW = 512


def operands(ggml: Ggml, kind: Kind, rows: int, columns: int, width: int) -> tuple[Operand, Array]:
    rng = np.random.default_rng([int(kind), rows, columns, width])
    weights = rng.standard_normal((rows, width)) * np.exp(rng.standard_normal((rows, 1)))
    inputs = rng.standard_normal((columns, width)) * np.exp(rng.standard_normal((columns, 1)))
    return ggml.quantized(weights, kind), inputs.astype(np.float32)


def is_ours(ggml: Ggml, kind: Kind, width: int) -> bool:
    """Whether our products are faster, so that they are what runs."""
    if kind is Kind.F16:
        return width <= SHORT_ROW or "AVX-512" in str(ggml.kernels())
    if ggml.name.endswith("llmlocal"):  # built for this CPU
        cpu = Path("/proc/cpuinfo")
        return cpu.exists() and "avx512_bf16" not in cpu.read_text()
    return not ggml.name.endswith(("cooperlake", "sapphirerapids", "zen4"))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products_of_any_shape(ggml: Ggml, kind: Kind, shape: tuple[int, int, int]) -> None:
    weights, inputs = operands(ggml, kind, *shape)
    truth = exact(weights, inputs)
    ours = ggml.mul_mat(weights, f32(inputs))
    stock = ggml.mul_mat(weights, f32(inputs), reference=True)
    if is_ours(ggml, kind, shape[2]):
        assert not np.array_equal(ours, stock)  # It is ours that ran.
        assert error(ours, truth) < 1e-12
    assert error(ours, truth) <= error(stock, truth)
    for threads in (2, 3, 4):
        assert np.array_equal(ggml.mul_mat(weights, f32(inputs), threads=threads), ours)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_they_are_at_least_as_exact_as_ggmls_own(ggml: Ggml, kind: Kind) -> None:
    for width in (384, 576, 1536, 4096):
        errors = []
        for rows in range(256, 264, 3):
            weights, inputs = operands(ggml, kind, rows, 64, width)
            truth = exact(weights, inputs)
            results = [ggml.mul_mat(weights, f32(inputs), reference=ref) for ref in (False, True)]
            errors.append([error(result, truth) for result in results])
        ours, stock = np.mean(errors, axis=0)
        assert ours <= stock, width


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_column_does_not_depend_on_the_others(ggml: Ggml, kind: Kind) -> None:
    weights, inputs = operands(ggml, kind, 261, 600, 200)
    together = ggml.mul_mat(weights, f32(inputs))
    for first, end in ((0, 32), (32, 77), (500, 600)):
        assert np.array_equal(ggml.mul_mat(weights, f32(inputs[first:end])), together[first:end])


def test_columns_of_several_matrices(ggml: Ggml) -> None:
    weights, inputs = operands(ggml, Kind.F16, 256, 3 * 2 * 7, 96)
    flat = ggml.mul_mat(weights, f32(inputs))
    several = ggml.mul_mat(weights, f32(inputs.reshape(3, 2, 7, 96)))
    assert several.shape == (3, 2, 7, 256)
    assert np.array_equal(several.reshape(flat.shape), flat)


def test_columns_that_lie_apart(ggml: Ggml) -> None:
    """Each matrix of a view lies behind numbers that are no part of it."""
    weights, inputs = operands(ggml, Kind.F16, 256, 3 * 30, 96)
    parts = inputs.reshape(3, 30, 96)
    flat = ggml.mul_mat(weights, f32(parts[:, 10:].reshape(60, 96)))
    apart = ggml.mul_mat(weights, f32(parts), rows_from=10)
    assert error(apart.reshape(flat.shape), flat) < 1e-6


@pytest.mark.parametrize(
    ("kind", "rows", "columns", "width"),
    [
        (Kind.F16, 256, 1, 384),
        (Kind.F16, 256, 31, 384),
        (Kind.F16, 256, 63, 513),
        (Kind.F16, 72, 64, 64),
        (Kind.F16, 24, 64, 64),
        (Kind.F32, 256, 64, 64),
    ],
)
def test_what_is_left_to_ggml(ggml: Ggml, kind: Kind, rows: int, columns: int, width: int) -> None:
    weights, inputs = operands(ggml, kind, rows, columns, width)
    ours, stock = (ggml.mul_mat(weights, f32(inputs), reference=ref) for ref in (False, True))
    assert np.array_equal(ours, stock)


def test_what_is_not_a_number_stays_in_its_row_and_column(ggml: Ggml) -> None:
    weights, inputs = operands(ggml, Kind.F16, 256, 50, 200)
    clean = ggml.mul_mat(weights, f32(inputs))
    values = np.frombuffer(weights.data, np.float16).reshape(256, 200).copy()
    values[33, 130] = np.inf
    inputs[17, 3] = np.nan
    result = ggml.mul_mat(Operand(Kind.F16, weights.shape, values.tobytes()), f32(inputs))
    assert np.isnan(result[17]).all()
    assert not np.isfinite(result[:, 33]).any()
    rest = np.ix_(np.arange(50) != 17, np.arange(256) != 33)
    assert np.array_equal(result[rest], clean[rest])
