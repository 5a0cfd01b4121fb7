from __future__ import annotations

import pytest

from benchmarks.bars import (
    BARS,
    Bar,
    difference_to,
    gap_over_allowance,
    growth_of,
    judge,
    ratio_to,
    ratio_to_best_peer,
    ratio_to_best_stock,
    value_of,
)
from benchmarks.random_weights import TYPES
from benchmarks.results import Results
from benchmarks.scenarios import QUICK, SCENARIOS
from benchmarks.scenarios.kernels import OFF, ON, PROMPT, STOCK, answer_after, of_type
from benchmarks.scenarios.prefixes import KNOWN_TOKENS

from .made_up import results, row


def test_a_ratio_is_ours_to_theirs() -> None:
    run = results(decode=[row("llmlocal", rate=[90.0]), row("llama-bench", rate=[100.0])])
    figure = ratio_to("decode", "rate", "llama-bench")(run)
    assert figure is not None
    assert figure.median == pytest.approx(0.9)


def test_what_was_not_measured_has_no_figure() -> None:
    run = results(decode=[row("llmlocal", rate=[90.0]), row("llama-bench")])
    assert ratio_to("decode", "rate", "llama-bench")(run) is None
    assert ratio_to("prefill", "rate", "llama-bench")(run) is None
    assert ratio_to_best_peer("decode", "rate")(run) is None
    assert difference_to("decode", "rate", "llama-bench")(run) is None
    assert value_of("decode", "other")(run) is None
    assert gap_over_allowance(run) is None


def test_the_best_peer_is_the_quickest_that_finished() -> None:
    run = results(
        chat=[
            row("llmlocal", first=[3.0]),
            row("slow", first=[9.0]),
            row("quick", first=[2.0]),
            row("broken"),
        ]
    )
    figure = ratio_to_best_peer("chat", "first")(run)
    assert figure is not None
    assert figure.median == pytest.approx(1.5)


def test_the_better_of_two_attentions_counts() -> None:
    rows = [
        row("135m Q4_1, prompt, on", tokens_per_s=[30.0]),
        row("135m Q4_1, prompt, llama-bench (separate)", tokens_per_s=[10.0]),
        row("135m Q4_1, prompt, llama-bench (fused)", tokens_per_s=[12.0]),
    ]
    figure = ratio_to_best_stock(PROMPT, "Q4_1")(results(types=rows))
    assert figure is not None
    assert figure.median == pytest.approx(2.5)
    # One of the two alone may be the worse one.
    assert ratio_to_best_stock(PROMPT, "Q4_1")(results(types=rows[:2])) is None


def test_a_difference_is_ours_less_theirs() -> None:
    run = results(overhead=[row("whole", cpu=[31.0, 30.0]), row("llama-bench", cpu=[20.0, 22.0])])
    figure = difference_to("overhead", "cpu", "llama-bench", "whole")(run)
    assert figure is not None
    assert figure.median == pytest.approx(9.5)


@pytest.mark.parametrize(
    ("gap", "step", "expected"),
    [
        (0.150, 0.010, 1.0),  # Quick steps: 150 ms are allowed.
        (0.300, 0.010, 2.0),
        (0.400, 0.100, 1.0),  # Slow steps: four of them are.
    ],
)
def test_a_gap_is_held_against_four_steps_or_150_ms(
    gap: float, step: float, expected: float
) -> None:
    run = results(arrival=[row("llmlocal", longest_gap_s=[gap], normal_step_s=[step])])
    figure = gap_over_allowance(run)
    assert figure is not None
    assert figure.median == pytest.approx(expected)


def test_growth_is_the_last_to_the_first() -> None:
    run = results(memory=[row("requests", rss=[100.0, 130.0, 110.0])])
    figure = growth_of("memory", "rss", "requests")(run)
    assert figure is not None
    assert figure.median == pytest.approx(1.1)


@pytest.mark.parametrize(
    ("side", "value", "passed"),
    [
        ("at least", 0.97, True),
        ("at least", 0.96, False),
        ("at most", 0.97, True),
        ("at most", 0.98, False),
    ],
)
def test_a_verdict_looks_at_the_right_side(side: str, value: float, passed: bool) -> None:
    bar = Bar("work", "promise", value_of("decode", "rate"), 0.97, side)  # type: ignore[arg-type]
    (verdict,) = judge(results(decode=[row("llmlocal", rate=[value])]), [bar])
    assert verdict.passed is passed


def test_a_bar_that_was_not_measured_is_neither_met_nor_missed() -> None:
    assert {verdict.passed for verdict in judge(results())} == {None}


def all_rows(run: Results) -> Results:
    """A run in which every row and metric that a bar may ask for is there, with ones."""
    labels = [
        *("llmlocal", "llama-bench", "llama-batched-bench", "llama-cpp-python", "llama-server"),
        *("llmlocal beside a busy process", "a fresh model", "32 held", "numpy"),
        *("llmlocal, taken as a whole", "llmlocal, read piece by piece"),
        *("llmlocal-server, streamed to a client", "load and close", "requests"),
        *(
            f"{system}, {count} at once"
            for system in ("llmlocal", "llmlocal-server")
            for count in (1, 8, 64)
        ),
        *("llmlocal-server, 16 after one text", "llama-server, 16 after one text"),
        *("in order", "shuffled", "with a folder for prompts", "without one"),
        *(f"{label}, {n} tokens" for n in KNOWN_TOKENS for label in ("from disk", "warm")),
        *(
            f"{of}{work}, {entrant}"
            for of in ("", *map(of_type, TYPES))
            for work in (PROMPT, answer_after(0), answer_after(1000))
            for entrant in (ON, OFF, *STOCK)
        ),
    ]
    for scenario in SCENARIOS.values():
        metrics = {metric.name: [1.0, 1.0] for metric in scenario.metrics}
        run.rows[scenario.name] = [row(label, label, **metrics) for label in labels]
    return run


def test_every_bar_finds_its_figure_in_a_full_run() -> None:
    missing = [
        verdict.bar.promise for verdict in judge(all_rows(results())) if verdict.figure is None
    ]
    assert missing == []


def test_a_quick_run_has_what_the_bars_on_speed_need() -> None:
    run = all_rows(results())
    run.rows = {name: rows for name, rows in run.rows.items() if name in QUICK}
    missing = {verdict.bar.work for verdict in judge(run) if verdict.figure is None}
    assert {work.partition(":")[0] for work in missing} == {
        "chat",
        "4 chats in turn",
        "1,000 load/close cycles",
        "10,000 requests",
        *(
            f"first token after {tokens:,} tokens that another process evaluated"
            for tokens in KNOWN_TOKENS
        ),
        "an answer while a prompt is written to a file",
        "72 prompts over 12 texts, shuffled",
        "the server",
        "the server's thread",
        "our kernels",
    }


def test_the_table_begins_with_a_work() -> None:
    assert BARS[0].work
