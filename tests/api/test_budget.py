"""How much memory is taken where the caller does not say."""

from __future__ import annotations

import pytest

from llmlocal._budget import DEFAULT_CONTEXT, Budget, choose_budget, choose_context

GIB = 1024**3


@pytest.mark.parametrize(
    ("spare", "kv_bytes", "prefix_bytes", "budget"),
    [
        (8 * GIB, None, None, Budget(2 * GIB, 1 * GIB)),
        (800, None, None, Budget(200, 100)),
        # However much there is, prefixes get no more than 4 GiB.
        (512 * GIB, None, None, Budget(128 * GIB, 4 * GIB)),
        # Where the system does not tell, as if 4 GiB were free.
        (None, None, None, Budget(1 * GIB, GIB // 2)),
        (0, None, None, Budget(0, 0)),
        (8 * GIB, 1, 2, Budget(1, 2)),
        (8 * GIB, 0, 0, Budget(0, 0)),
        (8 * GIB, 5 * GIB, None, Budget(5 * GIB, 1 * GIB)),
        (8 * GIB, None, 100 * GIB, Budget(2 * GIB, 100 * GIB)),
    ],
)
def test_budget(
    spare: int | None, kv_bytes: int | None, prefix_bytes: int | None, budget: Budget
) -> None:
    assert choose_budget(spare, kv_bytes, prefix_bytes) == budget


@pytest.mark.parametrize(
    ("wanted", "trained", "context"),
    [
        (None, 2048, 2048),
        (None, 131_072, DEFAULT_CONTEXT),
        (None, 0, DEFAULT_CONTEXT),
        (100, 2048, 100),
        (100_000, 2048, 100_000),
    ],
)
def test_context(wanted: int | None, trained: int, context: int) -> None:
    assert choose_context(wanted, trained) == context
