"""Our GELU, against float64 and against ggml's own."""

from __future__ import annotations

import numpy as np
import pytest

from .ggml import Array, Ggml, f32
from .test_products import error


def exact(numbers: Array) -> Array:
    x = numbers.astype(np.float64)
    result: Array = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return result


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (5, 8), (130, 1536), (2, 3, 4, 33)], ids=str)
def test_numbers_of_any_shape(ggml: Ggml, shape: tuple[int, ...]) -> None:
    numbers = np.random.default_rng(shape).standard_normal(shape).astype(np.float32) * 3
    ours = ggml.gelu(f32(numbers))
    stock = ggml.gelu(f32(numbers), reference=True)
    assert not np.array_equal(ours, stock)  # It is ours that ran.
    assert error(ours, exact(numbers)) < 1e-13
    assert error(ours, exact(numbers)) <= error(stock, exact(numbers))
    for threads in (2, 3, 4):
        assert np.array_equal(ggml.gelu(f32(numbers), threads=threads), ours)


def test_every_size_of_a_number(ggml: Ggml) -> None:
    sizes = 2.0 ** np.arange(-40, 127)
    numbers = np.array([-sizes, sizes], np.float32)
    ours = ggml.gelu(f32(numbers))
    small = np.abs(numbers) <= 16
    assert np.allclose(ours[small], exact(numbers)[small], rtol=3e-6, atol=1e-7)
    assert np.array_equal(ours[1, numbers[1] > 16], numbers[1, numbers[1] > 16])
    assert np.abs(ours[0, numbers[0] < -16]).max() < 1e-30


def test_what_is_no_number_stays_so(ggml: Ggml) -> None:
    numbers = np.zeros((3, 11), np.float32)
    numbers[1, 4], numbers[1, 9] = np.nan, np.inf
    numbers[2, 10], numbers[2, 0] = np.nan, -np.inf
    result = ggml.gelu(f32(numbers))
    assert np.array_equal(np.isnan(result), np.isnan(numbers))
    assert result[1, 9] == np.inf
    assert abs(result[2, 0]) < 1e-30
