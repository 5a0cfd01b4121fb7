from __future__ import annotations

import pytest

from benchmarks.figures import number, quantity
from benchmarks.measure import Row
from benchmarks.report import BEGIN, END, insert, render, table

from .made_up import results, row


def lines_with(text: str, beginning: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(f"| {beginning}")]


def test_a_bar_that_is_met_passes_and_one_that_is_not_is_short() -> None:
    run = results(
        decode=[
            row("llmlocal", tokens_per_s=[96.0]),
            row("llama-bench", tokens_per_s=[100.0]),
            row("llama-cpp-python", tokens_per_s=[80.0]),
        ]
    )
    text = render([run])
    (to_bench,) = lines_with(text, "decode, one request")
    assert "0.96" in to_bench
    assert to_bench.endswith("| **short** |")
    (to_peer,) = lines_with(text, " | at least 1.05 of llama-cpp-python")
    assert "1.20" in to_peer
    assert to_peer.endswith("| pass |")


def test_bars_that_were_not_measured_are_left_out() -> None:
    assert "prompt, 900 words" not in render([results(decode=[row("llmlocal", tokens_per_s=[1])])])


def test_a_row_has_median_spread_and_ratio() -> None:
    run = results(
        decode=[
            row("llmlocal", tokens_per_s=[90.0, 100.0, 110.0]),
            row("other", tokens_per_s=[180.0, 200.0, 220.0]),
        ]
    )
    assert lines_with(render([run]), "other") == [
        "| other | 200 tokens/s ± 5.0 % | 2.00 |",
    ]


def test_a_failure_is_a_row_that_says_so() -> None:
    run = results(
        decode=[
            Row("broken", "broken", error="it | fell\nover"),
            Row("lacking", "lacking", error="has no chat", is_unsupported=True),
        ]
    )
    text = render([run])
    assert lines_with(text, "broken") == ["| broken | failed: it \\| fell over |  |"]
    assert lines_with(text, "lacking") == ["| lacking | can't: has no chat |  |"]


def test_machine_model_and_versions_are_told() -> None:
    text = render([results(decode=[row("llmlocal", tokens_per_s=[1.0])])])
    for fact in ("A CPU", "0123456789", "abababababab", "model.gguf, 2 threads", "llmlocal 1"):
        assert fact in text


def test_a_report_goes_between_the_marks_of_a_page() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = insert(page, "new\n")
    assert once == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert insert(once, "new\n") == once


@pytest.mark.parametrize("page", ["none", f"{BEGIN} only", f"{END}{BEGIN}"])
def test_a_page_without_marks_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="must have the lines"):
        insert(page, "new")


def test_a_table_is_markdown() -> None:
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (12345.6, "12,346"), (45.67, "45.7"), (1.234, "1.23"), (0.012345, "0.0123")],
)
def test_numbers_have_the_digits_they_deserve(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0123, "s", "12.3 ms"),
        (2.5, "s", "2.50 s"),
        (98e6, "bytes", "98.0 MB"),
        (180, "tokens/s", "180 tokens/s"),
        (0.97, "", "0.97"),
    ],
)
def test_units_suit_the_size(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text
