"""How far a long prompt is, for a person who waits for its answer."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["PromptBar"]

_PATIENCE_S = 1.0


class PromptBar:
    """A bar on standard error, for prompts that take more than a second.

    It is called with the tokens that are evaluated and how many there are, and is gone as soon as
    these are all.  Where standard error is no terminal it shows nothing.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self._bar: tqdm[Any] | None = None

    def __call__(self, done: int, total: int) -> None:
        if done >= total:
            self.close()
            return
        if self._bar is None and self._is_worth_it():
            from tqdm import tqdm

            self._bar = tqdm(
                desc="prompt", total=total, unit=" tokens", leave=False, dynamic_ncols=True
            )
        if self._bar is not None:
            self._bar.update(done - self._bar.n)

    def _is_worth_it(self) -> bool:
        is_shown = sys.stderr is not None and sys.stderr.isatty()
        return is_shown and self._clock() - self._start > _PATIENCE_S

    def close(self) -> None:
        """Take it away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
