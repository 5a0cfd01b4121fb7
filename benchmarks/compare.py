"""Two runs side by side: what has changed beyond the noise of either."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.figures import quantity
from benchmarks.report import table
from benchmarks.results import Results
from benchmarks.samples import Summary, differs, summarize
from benchmarks.scenarios import SCENARIOS
from benchmarks.scenarios.scenario import Metric
from benchmarks.systems import LIMIT, OURS

__all__ = ["Change", "changes", "render_changes"]


@dataclass(frozen=True)
class Change:
    """One metric of one row in both runs.

    Attributes:
        scenario: Where.
        label: Whose.
        metric: What.
        old: Before.
        new: After.
        is_beyond_noise: Whether the difference is more than chance.
    """

    scenario: str
    label: str
    metric: Metric
    old: Summary
    new: Summary
    is_beyond_noise: bool

    @property
    def factor(self) -> float:
        """New as a multiple of old."""
        return self.new.median / self.old.median

    @property
    def is_better(self) -> bool:
        """Whether it went the right way."""
        return (self.factor > 1) == (self.metric.better == "higher")


def changes(old: Results, new: Results) -> Iterator[Change]:
    """All that both runs measured, of every system."""
    for name, rows in new.rows.items():
        scenario = SCENARIOS.get(name)
        for row in rows if scenario else ():
            assert scenario is not None
            for metric in scenario.metrics:
                before = old.values(name, row.label, metric.name)
                after = row.values(metric.name)
                if before and after and summarize(before).median:
                    yield Change(
                        name,
                        row.label,
                        metric,
                        summarize(before),
                        summarize(after),
                        differs(before, after),
                    )


def render_changes(old: Results, new: Results) -> str:
    """What changed, as Markdown, and how the machine itself did meanwhile."""
    found = list(changes(old, new))
    real = [change for change in found if change.is_beyond_noise]
    lines = [
        f"{len(real)} of {len(found)} figures differ beyond noise ({_commits(old, new)}).",
        *_warnings(old, new),
        _drift(found),
    ]
    if real:
        lines.append(table(("figure", "old", "new", "factor", ""), map(_line, real)))
    return "\n\n".join(line for line in lines if line) + "\n"


def _commits(old: Results, new: Results) -> str:
    return " to ".join(str(each.source["commit"])[:10] for each in (old, new))


def _line(change: Change) -> Sequence[str]:
    return (
        f"{change.scenario}, {change.label}, {change.metric.name}",
        quantity(change.old.median, change.metric.unit),
        quantity(change.new.median, change.metric.unit),
        f"{change.factor:.2f}",
        "better" if change.is_better else "**worse**",
    )


def _drift(found: Sequence[Change]) -> str:
    """What the others' figures say about the machine: they were not what was changed."""
    factors = [
        change.factor if change.metric.better == "higher" else 1 / change.factor
        for change in found
        if change.label != OURS and change.label.startswith(LIMIT)
    ]
    if not factors:
        return ""
    return f"The machine: {LIMIT} ran at {summarize(factors).median:.2f} of its former speed."


def _warnings(old: Results, new: Results) -> Iterator[str]:
    for what, before, after in (
        ("machine", old.machine["cpu"], new.machine["cpu"]),
        ("model", old.model["sha256"], new.model["sha256"]),
        ("number of threads", old.settings["n_threads"], new.settings["n_threads"]),
    ):
        if before != after:
            yield f"Not the same {what}: the comparison means little."
