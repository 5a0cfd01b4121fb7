"""Models: a catalog, a store of files, and downloads that never lose a byte.

A name becomes a file on disk here; loading it is :class:`llmlocal.LLM`'s work.
"""

from __future__ import annotations

from ._resolve import pull, resolve

__all__ = ["pull", "resolve"]
