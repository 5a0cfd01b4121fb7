"""How much memory a model will take: weights, context and work space, from its header alone.

Weights and context are exact for the pinned llama.cpp; the work space is an estimate, because
it is the engine that lays it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..._quote import quote
from ...errors import ParameterError
from ._cache_cost import CacheCost, Hyperparameters, cache_cost
from ._header import Header, Tensor
from ._types import TENSOR_TYPES

__all__ = ["KV_TYPES", "MemoryEstimate", "estimate"]

CELL_PADDING = 256
"""llama.cpp rounds the tokens of a context up to a multiple of this."""

MOST_ROWS = 128
FEWEST_ROWS = 64
MOST_SCORE_BYTES = 256 << 20
"""Without fused attention, as many rows at once as keep the scores within this, like the engine."""

FEWEST_OUTPUTS = 16
"""Rows of logits that there is always room for; see the decoder."""

KV_TYPES = {
    kind.name.lower(): kind
    for kind in TENSOR_TYPES.values()
    if kind.name in {"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "IQ4_NL", "Q5_0", "Q5_1"}
}


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that a loaded model takes.

    Attributes:
        n_ctx: The context that this is for, in tokens.
        weights: The tensors as they are in the file.
        kv: Keys and values of that many tokens, for each of the sequences.
        recurrent: State of recurrent layers, for each of the sequences.
        compute: Work space of one step; an estimate.
    """

    n_ctx: int
    weights: int
    kv: int
    recurrent: int
    compute: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.kv + self.recurrent + self.compute


def estimate(
    header: Header,
    tensors: Sequence[Tensor],
    n_ctx: int,
    *,
    n_sequences: int,
    n_batch: int,
    kv_type: str,
    swa_full: bool,
    flash_attention: bool,
) -> MemoryEstimate:
    """The memory for a context of so many tokens; see :meth:`ModelInfo.memory`.

    Raises:
        ParameterError: An argument is out of its range.
        ModelLoadError: The header's numbers are impossible.
    """
    for name, value in (("n_ctx", n_ctx), ("n_sequences", n_sequences), ("n_batch", n_batch)):
        if value < 1:
            message = f"{name} must be at least 1, got {value}"
            raise ParameterError(message)
    if kv_type not in KV_TYPES:
        message = f"kv_type must be one of {', '.join(KV_TYPES)}; got {quote(kv_type)}"
        raise ParameterError(message)
    model = Hyperparameters(header)
    cost = cache_cost(model)
    kind = KV_TYPES[kv_type]
    values = _cached_values(cost, n_ctx, n_batch, swa_full=swa_full)
    is_fused = flash_attention or kind.block_weights > 1  # Quantized values need it.
    row = 4 * (header.length("tokenizer.ggml.tokens") or model.count("vocab_size"))
    return MemoryEstimate(
        n_ctx=n_ctx,
        weights=sum(tensor.size_bytes for tensor in tensors),
        kv=n_sequences * (values * kind.block_bytes // kind.block_weights),
        recurrent=n_sequences * cost.recurrent_bytes,
        compute=_compute_bytes(
            model,
            cost,
            n_ctx,
            n_batch,
            logits=max(n_sequences, FEWEST_OUTPUTS) * row,
            is_fused=is_fused,
        )
        + n_sequences * row,  # The copies that are sampled from.
    )


def _cached_values(cost: CacheCost, n_ctx: int, n_batch: int, *, swa_full: bool) -> int:
    cells = _padded(n_ctx)
    window_cells = cells if swa_full else _padded(min(cells, cost.window + n_batch))
    return cost.full_values * cells + cost.window_values * window_cells


def _compute_bytes(
    model: Hyperparameters,
    cost: CacheCost,
    n_ctx: int,
    n_batch: int,
    *,
    logits: int,
    is_fused: bool,
) -> int:
    """Measured: the widest layer's activations, and one mask for each kind of layer.

    Attention in separate steps also has the scores of each row's whole context, for each head.
    Logits take the place of all that came before them but the last layer's output.
    """
    embedding = model.count("embedding_length")
    experts = model.count("expert_used_count")
    feed_forward = max(
        model.count("feed_forward_length"),
        experts * model.count("expert_feed_forward_length"),
    )
    width = 7 * feed_forward // 2 + 4 * embedding
    mask_bytes = 2
    rows = n_batch
    if not is_fused:
        scores = _padded(n_ctx) * max(model.count("attention.head_count"), 1)
        rows = min(rows, max(FEWEST_ROWS, min(MOST_ROWS, MOST_SCORE_BYTES // (4 * scores))))
        width = max(width, scores + 8 * embedding)
        mask_bytes = 4
    masks = mask_bytes * _padded(n_ctx) * ((cost.full_values > 0) + (cost.window_values > 0))
    return rows * masks + max(rows * 4 * width, rows * 4 * embedding + logits)


def _padded(n_ctx: int) -> int:
    return (n_ctx + CELL_PADDING - 1) // CELL_PADDING * CELL_PADDING
