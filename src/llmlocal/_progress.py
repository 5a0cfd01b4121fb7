"""How long work reports itself: one value, one callback shape, one bar.

Downloads, verification, unpacking and model loading all speak :class:`Progress`.  A caller's
callback may cancel the work by returning False; what that raises is the worker's business.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from llmlocal._quote import quote
from llmlocal.errors import ParameterError, RequestCancelledError

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["Progress", "ProgressCallback", "ProgressOption", "Stage", "counting", "reporter"]

Stage = Literal["download", "verify", "unpack", "load", "embed", "generate"]

# Stages that are counted in things, and not in bytes.
_COUNTED = ("load", "embed", "generate")


@dataclass(frozen=True)
class Progress:
    """One report of a long piece of work.

    Attributes:
        stage: Which work it is.
        done: Bytes done so far (for ``"load"``: thousandths of the model; for ``"embed"``: texts;
            for ``"generate"``: answers).
        total: The same for all of it, or None while that is unknown (for ``"load"``: 1000).
    """

    stage: Stage
    done: int
    total: int | None


ProgressCallback = Callable[[Progress], bool | None]
"""Receives reports; returning False (not None) cancels the work."""

ProgressOption = ProgressCallback | Literal[False] | None
"""A callback; False for silence; None for a bar on a terminal or in a notebook."""


def _is_watched() -> bool:
    """Whether a person would see a bar: on a terminal, or in a notebook."""
    return sys.stderr is not None and (sys.stderr.isatty() or _is_notebook())


def _is_notebook() -> bool:
    return "ipykernel" in sys.modules


def reporter(progress: ProgressOption, label: str) -> AbstractContextManager[ProgressCallback]:
    """A context that yields the callback to report to.

    Args:
        progress: What the caller of the public function passed.
        label: What the bar calls the work, for instance the model's name.
    """
    if progress is None:
        return _Bar(label) if _is_watched() else nullcontext(_ignore)
    if progress is False:
        return nullcontext(_ignore)
    if not callable(progress):
        raise ParameterError(f"progress must be a function, False or None; got {quote(progress)}")
    return nullcontext(progress)


@contextmanager
def counting(
    progress: ProgressOption, stage: Stage, total: int | None, *, label: str, few: int = 0
) -> Iterator[Callable[[int], None]]:
    """A context that yields what is to be told how many of the things are done.

    Args:
        progress: What the caller of the public function passed.
        stage: What is done with them.
        total: How many there are; None if that is not known.
        label: What the bar calls the work.
        few: So many are done too soon for a bar.

    Raises:
        RequestCancelledError: Out of the yielded function, when ``progress`` returned False.
    """
    if progress is None and total is not None and total <= few:
        progress = False
    with reporter(progress, label) as report:

        def tell(done: int) -> None:
            if report(Progress(stage, done, total)) is False:
                raise RequestCancelledError(
                    f"the work was stopped by its progress callback after {done}"
                    + ("" if total is None else f" of {total}")
                )

        yield tell


def _ignore(_: Progress) -> None:
    return None


class _Bar:
    """A tqdm bar that starts anew when the stage changes."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._stage: Stage | None = None
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> ProgressCallback:
        return self._report

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._finish()

    def _report(self, progress: Progress) -> None:
        if self._bar is None or progress.stage != self._stage:
            self._finish()
            self._bar = self._start(progress)
            self._stage = progress.stage
        self._bar.total = progress.total
        self._bar.update(progress.done - self._bar.n)

    def _start(self, progress: Progress) -> tqdm[Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of widgets that are not installed: text does as well.
            from tqdm.auto import tqdm

        is_bytes = progress.stage not in _COUNTED
        return tqdm(
            desc=f"{progress.stage} {self._label}",
            total=progress.total,
            initial=progress.done,
            unit="B" if is_bytes else "",
            unit_scale=is_bytes,
            unit_divisor=1000,
            bar_format=None
            if progress.stage != "load"
            else "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}]",
            leave=False,
            dynamic_ncols=True,
            file=sys.stderr,
        )

    def _finish(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
