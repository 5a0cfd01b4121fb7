from __future__ import annotations

import pytest

from benchmarks.scenarios.embed import SameVectors
from benchmarks.session import OperationFailedError


def test_vectors_of_two_systems_may_differ_by_rounding() -> None:
    same = SameVectors()
    same.check(0, [[0.6, 0.8], [1.0, 0.0]])
    same.check(0, [[0.6001, 0.7999], [1.0, 0.0]])


@pytest.mark.parametrize("other", [[0.8, 0.6], [0.0, 0.0], [float("nan"), 1.0]])
def test_a_system_with_other_vectors_is_found_out(other: list[float]) -> None:
    same = SameVectors()
    same.check(0, [[1.0, 0.0], [0.6, 0.8]])
    with pytest.raises(OperationFailedError, match="other vectors"):
        same.check(0, [[1.0, 0.0], other])


def test_each_round_has_texts_of_its_own() -> None:
    same = SameVectors()
    same.check(0, [[1.0, 0.0]])
    same.check(1, [[0.0, 1.0]])
