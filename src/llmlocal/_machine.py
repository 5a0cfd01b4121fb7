"""How much memory this machine has, and how much of it a model could have now.

Inside a container both are the container's.
"""

from __future__ import annotations

from llmlocal import _core

__all__ = ["available_bytes", "spare_bytes", "total_bytes"]


def total_bytes() -> int | None:
    """Memory of the machine, or of the container that this runs in; None where unknown."""
    return _core.total_memory()


def available_bytes() -> int | None:
    """Memory that can be taken now without anything being swapped out; None where unknown."""
    return _core.free_memory()


def spare_bytes() -> int | None:
    """Available memory that the models which are open in this process leave; None where unknown.

    Their caches may still grow, and the system would give up the mapped weights in use for others.
    """
    available = available_bytes()
    return None if available is None else max(available - _core.promised_memory(), 0)
