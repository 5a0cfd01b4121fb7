"""Results as pictures: every sample a point, medians as bars, or as lines along an axis.

Needs matplotlib (the extra ``bench``), and no screen.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import Row
from benchmarks.results import Results
from benchmarks.samples import summarize
from benchmarks.scenarios import SCENARIOS
from benchmarks.scenarios.scenario import Scenario

__all__ = ["lines", "plot"]


def plot(results: Results, folder: Path) -> Iterator[Path]:
    """Write a picture for each scenario that has samples, named after the model too; yield its path.

    Raises:
        ValueError: matplotlib is not installed.
    """
    try:
        matplotlib: Any = importlib.import_module("matplotlib")
        matplotlib.use("svg")
        pyplot: Any = importlib.import_module("matplotlib.pyplot")
    except ImportError:
        raise ValueError("plotting needs matplotlib: pip install matplotlib") from None
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in results.rows.items():
        scenario = SCENARIOS.get(name)
        shown = [row for row in rows if scenario and row.values(scenario.metrics[0].name)]
        if scenario is None or not shown:
            continue
        figure, axes = pyplot.subplots(figsize=(8, 0.45 * len(shown) + 1.5), layout="constrained")
        if scenario.axis:
            _draw_lines(axes, scenario, shown)
        else:
            _draw_bars(axes, scenario, shown)
        axes.set_title(f"{name}: {results.model['name']}", fontsize="medium")
        path = folder / f"{Path(results.model['name']).stem}, {name}.svg"
        figure.savefig(path)
        pyplot.close(figure)
        yield path


def lines(rows: Sequence[Row], metric: str) -> dict[str, list[tuple[float, float]]]:
    """A line for each system: where on the axis, and the median there."""
    found: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if row.at is not None and (values := row.values(metric)):
            found.setdefault(row.system, []).append((row.at, summarize(values).median))
    return {system: sorted(points) for system, points in found.items()}


def _draw_lines(axes: Any, scenario: Scenario, rows: Sequence[Row]) -> None:
    metric = scenario.metrics[0]
    for system, points in lines(rows, metric.name).items():
        axes.plot(*zip(*points, strict=True), marker="o", label=system)
    for row in rows:
        values = row.values(metric.name)
        axes.plot([row.at] * len(values), values, ".", color="grey", markersize=3)
    axes.set_xlabel(scenario.axis)
    axes.set_ylabel(metric.unit)
    axes.set_ylim(bottom=0)
    axes.legend()


def _draw_bars(axes: Any, scenario: Scenario, rows: Sequence[Row]) -> None:
    metric = scenario.metrics[0]
    for place, row in enumerate(rows):
        values = row.values(metric.name)
        axes.barh(place, summarize(values).median, color="tab:blue", alpha=0.5)
        axes.plot(values, [place] * len(values), "|", color="black")
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel(f"{metric.unit} ({metric.better} is better)")
