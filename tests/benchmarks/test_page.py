"""What the page on performance shows is what was measured."""

from __future__ import annotations

from benchmarks.folders import ROOT
from benchmarks.report import insert, render
from benchmarks.results import load

PAGE = ROOT / "docs" / "performance.md"
MEASURED = sorted((ROOT / "benchmarks" / "measured").glob("*.json"))


def test_the_page_shows_what_was_measured_and_nothing_else() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert insert(page, render([load(path) for path in MEASURED])) == page
