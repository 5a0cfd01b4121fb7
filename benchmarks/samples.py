"""What repeated measurements amount to: a middle, a spread, and ratios taken pair by pair."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Summary", "differs", "ratio", "summarize"]


@dataclass(frozen=True)
class Summary:
    """A middle and its spread.

    Attributes:
        median: The middle one, or the mean of the two middle ones.
        low: A quarter of the samples are below it.
        high: A quarter of the samples are above it.
        count: Samples.
    """

    median: float
    low: float
    high: float
    count: int

    @property
    def spread(self) -> float:
        """Half the distance of the quartiles, as a part of the median; 0 for a median of 0."""
        return (self.high - self.low) / 2 / abs(self.median) if self.median else 0.0


def summarize(values: Sequence[float]) -> Summary:
    """Median and quartiles of at least one value."""
    if not values:
        raise ValueError("there is no middle of no values")
    if len(values) == 1:
        return Summary(values[0], values[0], values[0], 1)
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return Summary(middle, low, high, len(values))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Summary:
    """The ratio of the medians; its spread is that of the ratios round by round.

    Systems take turns, so the samples of one round share the machine's mood of that moment, and
    their ratio has less of it than either. Rounds that only one of them finished are left out of
    the spread.
    """
    middle = summarize(ours).median / summarize(theirs).median
    pairs = summarize([our / their for our, their in zip(ours, theirs, strict=False)])
    return Summary(middle, min(pairs.low, middle), max(pairs.high, middle), pairs.count)


def differs(old: Sequence[float], new: Sequence[float], *, least: float = 0.03) -> bool:
    """Whether two sets of samples of one thing differ beyond their noise.

    They do where the middle halves do not overlap and the medians are further apart than `least`
    of the old one; a single sample a side can't tell.
    """
    before, after = summarize(old), summarize(new)
    if min(before.count, after.count) < 2:
        return False
    is_apart = after.low > before.high or after.high < before.low
    return is_apart and abs(after.median - before.median) > least * abs(before.median)
