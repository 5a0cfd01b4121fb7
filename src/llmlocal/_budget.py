"""How much memory a model may take beyond its weights, where the caller does not say."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT_CONTEXT", "Budget", "choose_budget", "choose_context", "doubt_about"]

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


def doubt_about(n_ctx: int, text_bytes: int, spare_bytes: int | None) -> str | None:
    """What to warn of before a text of ``n_ctx`` tokens takes the memory that it needs, if anything.

    Args:
        n_ctx: Tokens of the longest text.
        text_bytes: What its keys and values take.
        spare_bytes: Memory that could be taken now; None where that is unknown.
    """
    if spare_bytes is None or text_bytes <= spare_bytes // 2:
        return None
    needed = f"{_gigabytes(text_bytes)} of memory, and {_gigabytes(spare_bytes)} are left"
    if text_bytes <= spare_bytes:
        return f"n_ctx={n_ctx}: a text that long takes {needed}; lower n_ctx, or choose a smaller kv_type"
    return (
        f"n_ctx={n_ctx}: a text that long needs {needed}: it will end with an OutOfMemoryError;"
        " shorter ones work"
    )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
