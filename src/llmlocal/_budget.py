"""How much memory a model may take beyond its weights, where the caller does not say."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT_CONTEXT", "Budget", "choose_budget", "choose_context"]

# Enough for most conversations; a model's own limit, often 128k, would cost gigabytes of cache.
DEFAULT_CONTEXT = 4096

_MOST_PREFIX_BYTES = 4 * 1024**3
_FALLBACK_SPARE = 4 * 1024**3  # Where the system does not tell.


@dataclass(frozen=True)
class Budget:
    """Bytes for the KV cache's streams, and for evaluated prefixes outside it."""

    kv_bytes: int
    prefix_bytes: int


def choose_budget(
    spare_bytes: int | None, kv_bytes: int | None, prefix_bytes: int | None
) -> Budget:
    """Take a quarter of the spare memory for the cache, and up to an eighth for prefixes."""
    spare = _FALLBACK_SPARE if spare_bytes is None else spare_bytes
    return Budget(
        kv_bytes=spare // 4 if kv_bytes is None else kv_bytes,
        prefix_bytes=min(spare // 8, _MOST_PREFIX_BYTES) if prefix_bytes is None else prefix_bytes,
    )


def choose_context(wanted: int | None, training_context: int) -> int:
    """The context to use: the wanted one, else the model's own up to DEFAULT_CONTEXT."""
    if wanted is not None:
        return wanted
    return min(training_context, DEFAULT_CONTEXT) if training_context > 0 else DEFAULT_CONTEXT
