"""A run's results as a JSON file: where, when and with what it was measured, and every sample."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.folders import ROOT
from benchmarks.measure import Row

__all__ = ["Results", "load", "merge", "model_facts", "save", "source_facts"]

FORMAT = 1


@dataclass
class Results:
    """One run on one model.

    Attributes:
        machine: Its facts.
        source: The commit, and whether the tree had changes.
        model: Name, size and hash of the file.
        settings: Threads, and whether it was a quick run.
        when: ISO 8601, UTC.
        rows: By scenario.
        unfinished: The scenarios that were to be run and are not done: they lack rounds, or rows.
    """

    machine: Mapping[str, Any]
    source: Mapping[str, Any]
    model: Mapping[str, Any]
    settings: Mapping[str, Any]
    when: str
    rows: dict[str, list[Row]] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)

    def row(self, scenario: str, label: str) -> Row | None:
        """A scenario's row of this name, if it has one."""
        return next((row for row in self.rows.get(scenario, ()) if row.label == label), None)

    def values(self, scenario: str, label: str, metric: str) -> list[float]:
        """Its samples of a metric; empty if there are none."""
        row = self.row(scenario, label)
        return row.values(metric) if row else []


def save(results: Results, path: Path) -> None:
    """Write it, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    unfinished.write_text(
        json.dumps({"format": FORMAT, **asdict(results)}, indent=1), encoding="utf-8"
    )
    unfinished.replace(path)


def load(path: Path) -> Results:
    """Read it.

    Raises:
        ValueError: It is not such a file, or of another version.
    """
    data = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
        raise ValueError(f"{path} holds no results of format {FORMAT}")
    rows = {name: [Row(**row) for row in rows] for name, rows in data.pop("rows").items()}
    return Results(**data, rows=rows)


def merge(runs: Sequence[Results]) -> list[Results]:
    """Runs of one commit on one model, with the same settings, as one.

    Of a scenario that was run twice the later one counts; of the load, the highest.
    """
    merged: list[Results] = []
    for run in runs:
        same = next((each for each in merged if _setup(each) == _setup(run)), None)
        if same is None:
            merged.append(replace(run, machine=dict(run.machine), rows=dict(run.rows)))
            continue
        load = max(same.machine["load"], run.machine["load"])
        same.machine = {**same.machine, "load": load}
        same.rows.update(run.rows)
        left = [name for name in same.unfinished if name not in run.rows]
        same.unfinished = list(dict.fromkeys([*left, *run.unfinished]))
    return merged


def _setup(run: Results) -> tuple[object, ...]:
    """All that two runs must share to be told as one."""
    return run.source, run.model, run.settings, {**run.machine, "load": None}


def model_facts(path: Path) -> dict[str, Any]:
    """What names a model's file for good."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256") if hasattr(hashlib, "file_digest") else None
        if digest is None:
            digest = hashlib.sha256()
            while piece := file.read(1 << 20):
                digest.update(piece)
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def source_facts(root: Path = ROOT) -> dict[str, Any]:
    """The commit that was measured."""
    return {
        "commit": _git(root, "rev-parse", "HEAD") or "unknown",
        "is_changed": bool(_git(root, "status", "--porcelain", "--", "src", "third_party")),
    }


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
