from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.samples import differs, ratio, summarize

VALUES = st.lists(st.floats(0.001, 1000), min_size=1, max_size=30)


def test_a_summary_has_the_median_and_the_quartiles() -> None:
    summary = summarize([5.0, 1.0, 3.0, 2.0, 4.0])
    assert (summary.low, summary.median, summary.high, summary.count) == (2.0, 3.0, 4.0, 5)


def test_one_value_is_its_own_summary() -> None:
    summary = summarize([7.0])
    assert (summary.low, summary.median, summary.high, summary.count) == (7.0, 7.0, 7.0, 1)
    assert summary.spread == 0


def test_no_values_have_no_summary() -> None:
    with pytest.raises(ValueError, match="no middle"):
        summarize([])


def test_the_spread_is_relative() -> None:
    assert summarize([8.0, 9.0, 10.0, 11.0, 12.0]).spread == pytest.approx(0.1)


@given(VALUES)
def test_a_median_lies_between_the_quartiles(values: list[float]) -> None:
    summary = summarize(values)
    assert min(values) <= summary.low <= summary.median <= summary.high <= max(values)
    assert summary.median == pytest.approx(statistics.median(values))


def test_a_ratio_is_that_of_the_medians() -> None:
    assert ratio([10.0, 20.0, 30.0], [5.0, 10.0, 100.0]).median == 2.0


def test_what_hits_both_sides_alike_does_not_widen_the_ratio() -> None:
    # The machine was half as fast in the second round, for both.
    both = ratio([100.0, 50.0, 100.0, 50.0], [200.0, 100.0, 200.0, 100.0])
    assert (both.low, both.median, both.high) == (0.5, 0.5, 0.5)


def test_the_spread_of_a_ratio_is_that_of_its_rounds() -> None:
    apart = ratio([1.0, 2.0, 3.0], [1.0, 1.0, 1.0])
    assert (apart.low, apart.median, apart.high) == (1.5, 2.0, 2.5)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([100, 101, 102, 103], [120, 121, 122, 123], True),
        ([100, 101, 102, 103], [80, 81, 82, 83], True),
        ([100, 101, 102, 103], [101, 102, 103, 104], False),  # The middle halves overlap.
        ([100, 110, 120, 130], [105, 118, 122, 140], False),
        ([100, 100, 100, 100], [102, 102, 102, 102], False),  # Apart, but by too little.
        ([100], [200], False),  # One sample says nothing about noise.
    ],
)
def test_a_difference_must_exceed_the_noise(
    old: list[float], new: list[float], expected: bool
) -> None:
    assert differs(old, new) is expected


@given(VALUES)
def test_nothing_differs_from_itself(values: list[float]) -> None:
    assert not differs(values, values)
