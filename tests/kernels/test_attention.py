"""Our attention for few rows, against float64 and against ggml's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gguf
import numpy as np
import pytest

from .ggml import Array, Ggml, Operand, f32

Kind = gguf.GGMLQuantizationType


@dataclass(frozen=True)
class Shape:
    key_size: int = 64
    value_size: int = 64
    heads: int = 9
    key_heads: int = 3
    rows: int = 1
    keys: int = 256
    streams: int = 1
    kind: Kind = Kind.F16
    masked: str = "causal"
    sinks: bool = False
    max_bias: float = 0.0
    softcap: float = 0.0


SHAPES = [
    Shape(),
    Shape(keys=1),
    Shape(keys=3000, rows=2),
    Shape(keys=70, rows=8, masked="none"),
    Shape(heads=8, key_heads=8, key_size=128, value_size=128, keys=515),
    Shape(heads=12, key_heads=6, key_size=96, value_size=96, keys=700),
    Shape(heads=8, key_heads=8, key_size=128, value_size=128, keys=515, kind=Kind.F32),
    Shape(heads=28, key_heads=4, key_size=128, value_size=128, keys=300, rows=3),
    Shape(heads=32, key_heads=1, rows=5, keys=130),
    Shape(heads=4, key_heads=2, key_size=40, value_size=72, keys=200, rows=2),
    Shape(heads=2, key_heads=1, key_size=576, value_size=512, keys=100, rows=4),
    Shape(heads=4, key_heads=2, key_size=256, value_size=256, rows=7, keys=333),
    Shape(streams=3, rows=1, keys=512),
    Shape(streams=2, rows=6, keys=200, masked="random"),
    Shape(rows=31, keys=600),
    Shape(heads=12, key_heads=12, key_size=32, value_size=32, rows=45, keys=45, masked="none"),
    Shape(heads=4, key_heads=2, key_size=40, value_size=72, keys=200, rows=20),
    Shape(heads=4, key_heads=2, rows=40, keys=300, masked="random"),
    Shape(heads=2, key_heads=2, key_size=192, value_size=128, rows=33, keys=129, kind=Kind.Q8_0),
    Shape(kind=Kind.F32, keys=300),
    Shape(kind=Kind.BF16, keys=300, rows=4),
    Shape(kind=Kind.Q8_0, keys=300),
    Shape(kind=Kind.Q8_0, keys=300, rows=5, heads=8, key_heads=2),
    Shape(sinks=True, keys=100, rows=2),
    Shape(sinks=True, keys=1000),
    Shape(max_bias=8.0, heads=12, key_heads=12, keys=140, rows=2),
    Shape(softcap=20.0, keys=140, rows=2),
    Shape(softcap=5.0, keys=77, masked="none"),
    Shape(masked="random", keys=900, rows=4, sinks=True, max_bias=4.0, softcap=30.0),
]


@dataclass(frozen=True)
class Case:
    operands: tuple[Operand, ...]
    options: dict[str, Any]
    truth: Array


def rounded(ggml: Ggml, values: Array, kind: Kind) -> tuple[Operand, Array]:
    """The values in a type, and as floats again."""
    if kind == Kind.F32:
        return f32(values), values
    if kind == Kind.F16:
        half = values.astype(np.float16)
        return Operand(kind, values.shape[::-1], half.tobytes()), half.astype(np.float64)
    operand = ggml.quantized(values, kind)
    raw = np.frombuffer(operand.data, np.uint8)
    raw = raw.reshape(*values.shape[:-1], -1)
    return operand, gguf.dequantize(raw, kind).reshape(values.shape).astype(np.float64)


def mask_of(shape: Shape, rng: np.random.Generator) -> Array:
    """0 where a row sees a key: those up to its own, but for a quarter that nobody uses yet."""
    seen = np.ones((shape.streams, 1, shape.rows, shape.keys), bool)
    if shape.masked == "causal":
        used = shape.keys - shape.keys // 4
        for stream in range(shape.streams):
            for row in range(shape.rows):
                seen[stream, 0, row, max(used - 50 * stream - shape.rows + row + 1, 1) :] = False
    if shape.masked == "random":
        seen = rng.random(seen.shape) < 0.3
        seen[-1, 0, -1] = False  # one row that sees nothing
    bias = -rng.random(seen.shape) if shape.max_bias else np.zeros(seen.shape)
    return np.where(seen, bias, -np.inf).astype(np.float16)


def case(ggml: Ggml, shape: Shape) -> Case:
    rng = np.random.default_rng(5)
    q = rng.standard_normal((shape.streams, shape.heads, shape.rows, shape.key_size))
    q = q.astype(np.float32).astype(np.float64)
    keys = rng.standard_normal((shape.streams, shape.key_heads, shape.keys, shape.key_size))
    values = rng.standard_normal((shape.streams, shape.key_heads, shape.keys, shape.value_size))
    k, exact_k = rounded(ggml, keys, shape.kind)
    v, exact_v = rounded(ggml, values, shape.kind)
    scale = 1.5 / np.sqrt(shape.key_size)
    options: dict[str, Any] = {
        "scale": scale,
        "max_bias": shape.max_bias,
        "softcap": shape.softcap,
    }

    sharing = shape.heads // shape.key_heads
    scores = np.einsum("shrd,shkd->shrk", q, exact_k.repeat(sharing, 1)) * scale
    if shape.softcap:
        scores = shape.softcap * np.tanh(scores / shape.softcap)
    if shape.masked != "none":
        mask = mask_of(shape, rng)
        options["mask"] = Operand(Kind.F16, mask.shape[::-1], mask.tobytes())
        scores = scores + slopes(shape)[None, :, None, None] * mask.astype(np.float64)
    most = scores.max(-1, keepdims=True)
    if shape.sinks:
        sinks = rng.standard_normal(shape.heads).astype(np.float32)
        options["sinks"] = f32(sinks)
        most = np.maximum(most, sinks[None, :, None, None])
    most = np.where(np.isinf(most), 0, most)
    weights = np.exp(scores - most)
    total = weights.sum(-1, keepdims=True)
    if shape.sinks:
        total = total + np.exp(sinks[None, :, None, None] - most)
    weights = weights / np.where(total == 0, 1, total)
    truth = np.einsum("shrk,shkd->srhd", weights, exact_v.repeat(sharing, 1))
    return Case((f32(q), k, v), options, truth)


def slopes(shape: Shape) -> Array:
    """ALiBi's, as its authors give them for numbers of heads that are no power of two, too."""
    if not shape.max_bias:
        return np.ones(shape.heads)
    power = 2 ** int(np.log2(shape.heads))
    low = 2.0 ** (-shape.max_bias / power * np.arange(1, power + 1))
    high = 2.0 ** (-shape.max_bias / 2 / power * np.arange(1, 2 * (shape.heads - power), 2))
    return np.concatenate([low, high])


def error(result: Array, truth: Array) -> float:
    """Normalised mean square."""
    return float(((result - truth) ** 2).sum() / (truth**2).sum())


@pytest.mark.parametrize("as_cached", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_attention_of_any_shape(ggml: Ggml, shape: Shape, as_cached: bool) -> None:
    made = case(ggml, shape)
    made.options["as_cached"] = as_cached
    ours = ggml.attention(*made.operands, **made.options)
    stock = ggml.attention(*made.operands, **made.options, reference=True)
    assert error(ours, made.truth) < 1e-11
    assert error(ours, made.truth) <= error(stock, made.truth)
    for threads in (2, 3, 4):
        again = ggml.attention(*made.operands, **made.options, threads=threads)
        assert np.array_equal(again, ours)


@pytest.mark.parametrize("rows", [2, 5])
def test_what_a_masked_key_holds_is_not_touched(ggml: Ggml, rows: int) -> None:
    made = case(ggml, Shape(keys=200, masked="random", rows=rows))
    mask = np.frombuffer(made.options["mask"].data, np.float16).reshape(rows, 200)
    unseen = np.isinf(mask).all(0)
    assert unseen.any()
    q, k, v = made.operands

    def spoiled(operand: Operand) -> Operand:
        values = np.frombuffer(operand.data, np.float16).reshape(3, 200, 64).copy()
        values[:, unseen] = np.nan
        return Operand(operand.type, operand.shape, values.tobytes())

    ours = ggml.attention(q, k, v, **made.options)
    assert np.array_equal(ggml.attention(q, spoiled(k), spoiled(v), **made.options), ours)


@pytest.mark.parametrize("kind", [Kind.Q4_0, Kind.Q5_1])
def test_other_caches_are_left_to_ggml(ggml: Ggml, kind: Kind) -> None:
    made = case(ggml, Shape(kind=kind))
    assert error(ggml.attention(*made.operands, **made.options), made.truth) < 1e-3
