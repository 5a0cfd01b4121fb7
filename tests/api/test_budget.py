"""How much memory is taken where the caller does not say."""

from __future__ import annotations

import re

import pytest

from llmlocal._budget import (
    DEFAULT_CONTEXT,
    Budget,
    choose_budget,
    choose_context,
    doubt_about,
)
from llmlocal._generation import _generator

from ..conftest import OpenTiny

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


@pytest.mark.parametrize(
    ("text_bytes", "spare", "said"),
    [
        (4 * GIB, 8 * GIB, None),
        (4 * GIB, None, None),
        (5 * GIB, 8 * GIB, r"takes 5\.4 GB of memory, and 8\.6 GB are left; lower n_ctx"),
        (9 * GIB, 8 * GIB, r"needs 9\.7 GB .* it will end with an OutOfMemoryError"),
    ],
)
def test_a_context_that_takes_most_of_the_memory_is_doubted(
    text_bytes: int, spare: int | None, said: str | None
) -> None:
    doubt = doubt_about(1_000_000, text_bytes, spare)
    assert (doubt is None) == (said is None)
    assert re.search(said or "", doubt or "")


def test_who_asks_for_a_long_context_is_told_what_it_takes(
    open_tiny: OpenTiny, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def told(**options: int) -> bool:
        caplog.clear()
        open_tiny(**options).close()
        return "n_ctx=" in caplog.text and "lower n_ctx" in caplog.text

    a_text = open_tiny(n_ctx=64).stats().sequence_bytes
    monkeypatch.setattr(_generator, "spare_bytes", lambda: a_text + a_text // 2)
    assert told(n_ctx=64)
    assert not told()  # The default is ours.
    monkeypatch.setattr(_generator, "spare_bytes", lambda: 3 * a_text)
    assert not told(n_ctx=64)
