"""What a time limit leaves for the work before a request: its text is rendered and tokenized first.

The limit is that of the call, so it is kept beside the stack (a context variable) instead of being
handed through everything that might tokenize a text.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["seconds_left", "within"]

# The engine takes no limit of 0: with this it ends a request before its first step.
_LEAST_S = 1e-9

_end: ContextVar[float | None] = ContextVar("llmlocal_deadline", default=None)


@contextmanager
def within(timeout: float | None) -> Iterator[None]:
    """Have what is done in the block count towards a limit in seconds; None is no further one."""
    outer = _end.get()
    inner = None if timeout is None else time.monotonic() + timeout
    ends = [each for each in (outer, inner) if each is not None]
    token = _end.set(min(ends, default=None))
    try:
        yield
    finally:
        _end.reset(token)


def seconds_left() -> float | None:
    """Until the limit, > 0; None where there is none."""
    end = _end.get()
    return None if end is None else max(end - time.monotonic(), _LEAST_S)
