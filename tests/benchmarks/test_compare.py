from __future__ import annotations

from benchmarks.compare import changes, render_changes
from benchmarks.results import Results

from .made_up import results, row


def run(*ours: float, limit: float = 100.0, cpu: str = "A CPU") -> Results:
    return results(
        cpu,
        decode=[
            row("llmlocal", tokens_per_s=ours),
            row("llama-bench", tokens_per_s=[limit] * 4),
        ],
    )


def test_a_change_beyond_noise_is_shown_with_its_factor() -> None:
    text = render_changes(run(90, 91, 92, 93), run(108, 109, 110, 111))
    assert "1 of 2 figures differ" in text
    assert (
        "| decode, llmlocal, tokens_per_s | 91.5 tokens/s | 110 tokens/s | 1.20 | better |" in text
    )


def test_a_loss_is_worse() -> None:
    text = render_changes(run(108, 109, 110, 111), run(90, 91, 92, 93))
    assert "| 0.84 | **worse** |" in text


def test_noise_is_not_shown() -> None:
    text = render_changes(run(90, 95, 100, 105), run(92, 97, 102, 107))
    assert "0 of 2 figures differ" in text
    assert "llmlocal" not in text


def test_less_is_better_where_it_is_time() -> None:
    old = results(prefix=[row("llmlocal", seconds=[4.0, 4.1, 4.2])])
    new = results(prefix=[row("llmlocal", seconds=[2.0, 2.1, 2.2])])
    (change,) = changes(old, new)
    assert change.is_beyond_noise
    assert change.is_better


def test_what_only_one_run_has_is_not_compared() -> None:
    old = results(decode=[row("llmlocal", tokens_per_s=[1.0, 2.0])])
    new = results(
        decode=[row("llama-bench", tokens_per_s=[1.0, 2.0])],
        prefill=[row("llmlocal", tokens_per_s=[1.0, 2.0])],
    )
    assert list(changes(old, new)) == []


def test_the_machines_own_drift_is_told() -> None:
    text = render_changes(run(90, 91, limit=100.0), run(45, 46, limit=50.0))
    assert "llama-bench ran at 0.50 of its former speed" in text


def test_another_machine_is_pointed_out() -> None:
    assert "Not the same machine" in render_changes(run(1, 2), run(1, 2, cpu="Another"))
    assert "Not the same" not in render_changes(run(1, 2), run(1, 2))
