"""Several models by name, loaded on demand."""

from __future__ import annotations

from llmlocal._pool._entry import Kind, PoolEntry, name_of_model
from llmlocal._pool._pool import ModelPool
from llmlocal._pool._slot import PooledModel

__all__ = ["Kind", "ModelPool", "PoolEntry", "PooledModel", "name_of_model"]
