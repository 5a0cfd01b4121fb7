"""A model that a pool can open: its name, how it is loaded, and what it needs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from llmlocal._progress import ProgressCallback

if TYPE_CHECKING:
    from llmlocal._memory_use import MemoryUse

__all__ = ["Kind", "Model", "PoolEntry", "entry_of", "name_of_model"]

Kind = Literal["generate", "embed", "rerank"]
"""What a model is for: :class:`llmlocal.LLM`, ``Embedder`` or ``Reranker``."""


class Model(Protocol):
    """What the pool asks of a loaded model."""

    def memory(self) -> Mapping[str, MemoryUse]: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class PoolEntry:
    """A model that a pool can open.

    Attributes:
        name: What callers ask for.
        open: Loads it, telling a callback how far it is.
        kind: What it is for.
        needs: The bytes that it will take, as far as they can be told before.
        source: What it is loaded from, as :func:`llmlocal.models.inspect` takes it; None: unknown.
    """

    name: str
    open: Callable[[ProgressCallback], Model]
    kind: Kind = "generate"
    needs: Callable[[], int] = lambda: 0
    source: str | os.PathLike[str] | None = None


def entry_of(
    name: str | None,
    model: str | os.PathLike[str],
    kind: Kind = "generate",
    options: Mapping[str, Any] | None = None,
) -> PoolEntry:
    """An entry that loads a model by name or path, with the options of its kind's class."""
    given = dict(options or {})

    def load(report: ProgressCallback) -> Model:
        if kind == "embed":
            from llmlocal._embedder import Embedder

            return Embedder(model, progress=report, **given)
        if kind == "rerank":
            from llmlocal._reranker import Reranker

            return Reranker(model, progress=report, **given)
        from llmlocal._llm import LLM

        return LLM(model, progress=report, **given)

    def needs() -> int:
        from llmlocal import models

        info = models.inspect(model, allow_download=given.get("allow_download", True))
        return info.memory(given.get("n_ctx")).total

    return PoolEntry(name or name_of_model(model), load, kind, needs, model)


def name_of_model(model: str | os.PathLike[str]) -> str:
    """What callers call a model: a file by its name without the ending, anything else as it is."""
    text = os.fspath(model)
    return Path(text).stem if text.lower().endswith(".gguf") else text
