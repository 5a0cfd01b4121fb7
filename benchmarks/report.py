"""Results as Markdown: the bars with their verdicts, and a table for each scenario."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from benchmarks.bars import Verdict, judge
from benchmarks.figures import quantity, spread
from benchmarks.measure import Row
from benchmarks.results import Results, merge
from benchmarks.samples import ratio, summarize
from benchmarks.scenarios import SCENARIOS
from benchmarks.scenarios.scenario import Metric, Scenario
from benchmarks.systems import OURS

__all__ = ["BEGIN", "END", "insert", "render", "table"]

BEGIN = "<!-- benchmarks: begin (made by `python -m benchmarks report`; do not edit) -->"
END = "<!-- benchmarks: end -->"


def render(runs: Sequence[Results]) -> str:
    """All runs, one after the other; those that belong together as one."""
    return "\n\n".join(_render_run(run) for run in merge(runs)) + "\n"


def insert(document: str, report: str) -> str:
    """The document with the report between its two marks.

    Raises:
        ValueError: It does not have both marks, in this order.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document must have the lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{report}\n{END}{after}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; every column but the first is flush right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _render_run(results: Results) -> str:
    parts = [f"### {results.model['name']}, {_threads(results)}", _facts(results)]
    if results.unfinished:
        parts.append(f"**Partial**: the run ended before it was done with {_listed(results)}.")
    judged = [verdict for verdict in judge(results) if verdict.figure is not None]
    if judged:
        parts.append(_bars(judged))
    for name, rows in results.rows.items():
        if scenario := SCENARIOS.get(name):
            parts.append(_scenario(scenario, rows))
    return "\n\n".join(parts)


def _listed(results: Results) -> str:
    return ", ".join(f"`{name}`" for name in results.unfinished)


def _threads(results: Results) -> str:
    count = results.settings["n_threads"]
    return f"{count} thread{'' if count == 1 else 's'}"


def _facts(results: Results) -> str:
    machine, source = results.machine, results.source
    changed = " and changes" if source["is_changed"] else ""
    features = " ".join(machine["features"])
    versions = {
        row.system: row.version for rows in results.rows.values() for row in rows if row.version
    }
    return (
        f"Measured {results.when} at commit {str(source['commit'])[:10]}{changed} on "
        f"{machine['cpu']}, {machine['cores']} CPUs ({features}), "
        f"{quantity(machine['memory_bytes'], 'bytes')}, load {machine['load']:.1f} before. "
        f"Model: {quantity(results.model['bytes'], 'bytes')}, "
        f"sha256 {str(results.model['sha256'])[:12]}. "
        f"Versions: {', '.join(f'{name} {version}' for name, version in versions.items())}."
    )


def _bars(verdicts: Sequence[Verdict]) -> str:
    rows = []
    for verdict in verdicts:
        bar, figure = verdict.bar, verdict.figure
        assert figure is not None
        rows.append(
            (
                bar.work,
                f"{bar.side} {bar.promise}",
                quantity(figure.median, bar.unit),
                f"{quantity(figure.low, bar.unit)} to {quantity(figure.high, bar.unit)}",
                "pass" if verdict.passed else "**short**",
            )
        )
    return table(("work", "bar", "measured", "middle half", "verdict"), rows)


def _scenario(scenario: Scenario, rows: Sequence[Row]) -> str:
    header = ["", *(f"{each.name} ({each.unit})" for each in scenario.metrics), "of llmlocal's"]
    lines = [_line(row, rows, scenario.metrics) for row in rows]
    return f"**{scenario.name}**: {scenario.about}.\n\n" + table(header, lines)


def _line(row: Row, rows: Sequence[Row], metrics: Sequence[Metric]) -> list[str]:
    if row.error:
        what = "can't" if row.is_unsupported else "failed"
        return [row.label, f"{what}: {row.error}", *[""] * len(metrics)]
    return [row.label, *_cells(row, metrics), _ratio_to_ours(row, rows, metrics[0].name)]


def _cells(row: Row, metrics: Sequence[Metric]) -> Iterator[str]:
    for metric in metrics:
        values = row.values(metric.name)
        if not values:
            yield ""
            continue
        summary = summarize(values)
        yield f"{quantity(summary.median, metric.unit)} {spread(summary)}".strip()


def _ratio_to_ours(row: Row, rows: Sequence[Row], metric: str) -> str:
    ours = next((each for each in rows if each.label == OURS), None)
    if ours is None or ours is row or not ours.values(metric) or not row.values(metric):
        return ""
    return f"{ratio(row.values(metric), ours.values(metric)).median:.2f}"
