"""A progress callback as the workers here use it: called often, and a way to stop.

The public side is :mod:`llmlocal._progress`; this adds what False means during a download.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from .._progress import Progress, ProgressCallback, Stage
from ..errors import DownloadCancelledError

__all__ = ["Report", "cancelling"]

Report: TypeAlias = Callable[[Stage, int, int | None], None]
"""Tells the caller how far a stage is; raises DownloadCancelledError when it said to stop."""


def cancelling(callback: ProgressCallback, what: str) -> Report:
    """A report that raises once the callback returns False."""

    def report(stage: Stage, done: int, total: int | None) -> None:
        if callback(Progress(stage, done, total)) is False:
            message = f"{stage} of {what} was cancelled; what has arrived is kept for the next try"
            raise DownloadCancelledError(message)

    return report
