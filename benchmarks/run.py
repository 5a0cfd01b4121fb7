"""Runs scenarios on a model and gathers their results."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.folders import SYNTHETIC
from benchmarks.machine import describe
from benchmarks.measure import Row, measure_in_turn
from benchmarks.results import Results, model_facts, save, source_facts
from benchmarks.scenarios.scenario import Context, Scenario

__all__ = ["run", "run_scenario"]


def run(
    scenarios: Sequence[Scenario],
    *,
    model: Path,
    n_threads: int,
    systems: Sequence[str],
    is_quick: bool,
    rounds: int | None,
    output: Path,
    say: Callable[[str], object],
) -> Results:
    """Run all of them; the results so far are on disk after each round, and say what they lack."""
    results = Results(
        machine=describe().as_dict(),
        source=source_facts(),
        model=model_facts(model),
        settings={"n_threads": n_threads, "is_quick": is_quick},
        when=dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        unfinished=[scenario.name for scenario in scenarios],
    )
    for scenario in scenarios:
        context = Context(
            model=model,
            n_threads=n_threads,
            systems=systems,
            folder=SYNTHETIC,
            is_quick=is_quick,
        )

        def keep(rows: list[Row], name: str = scenario.name) -> None:
            results.rows[name] = rows
            save(results, output)

        rows = run_scenario(scenario, context, rounds=rounds, say=say, keep=keep)
        results.unfinished.remove(scenario.name)
        keep(rows)
    return results


def run_scenario(
    scenario: Scenario,
    context: Context,
    *,
    rounds: int | None = None,
    say: Callable[[str], object] = lambda _: None,
    keep: Callable[[list[Row]], object] = lambda _: None,
) -> list[Row]:
    """Run one; a scenario that can't even begin is one row that says why.

    Args:
        scenario: What is measured.
        context: With what.
        rounds: Samples of each contestant; None: as the scenario has it.
        say: Told how far it is.
        keep: Given the rows so far, as by :func:`benchmarks.measure.measure_in_turn`.

    Returns:
        A row for each contestant.
    """
    full, quick = scenario.rounds
    count = rounds or (quick if context.is_quick else full)
    try:
        contestants = scenario.contestants(context)
    except Exception as error:  # noqa: BLE001 - the others can still be measured
        return [Row("all", "", error=str(error) or type(error).__name__)]
    return measure_in_turn(
        contestants,
        rounds=count,
        warmups=scenario.warmups,
        say=lambda text: say(f"{scenario.name}: {text}"),
        keep=keep,
    )
