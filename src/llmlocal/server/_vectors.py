"""Embeddings and rankings, in no protocol's words."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llmlocal.server._service import Service

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["embedded"]


async def embedded(
    service: Service,
    name: str,
    texts: Sequence[str | list[int]],
    *,
    keep_alive: float | None = None,
    **options: Any,
) -> tuple[npt.NDArray[np.float32], int]:
    """The vectors of texts, or of the ids of their tokens, and how many tokens these have."""
    async with service.model(name, keep_alive=keep_alive) as embedder:
        vectors = await embedder.aembed(list(texts), **options)

        def count() -> int:
            return sum(
                embedder.count_tokens(text) if isinstance(text, str) else len(text)
                for text in texts
            )

        tokens = await asyncio.to_thread(count)
    service.metrics.read(name, tokens)
    return vectors, tokens
