"""The llama.cpp that is pinned: the package that carries it, and its commit."""

from __future__ import annotations

import re

from benchmarks.folders import ROOT

__all__ = ["pinned_commit", "pinned_requirement"]

_PIN = ROOT / "third_party" / "llama.cpp" / "pin.txt"


def pinned_requirement() -> str:
    """The package that carries the source, as ``name==version``; a peer too."""
    return _find(r"^([\w.-]+==[\w.]+) ")


def pinned_commit() -> str:
    """The upstream commit."""
    return _find(r"^# commit: ([0-9a-f]{40})$")


def _find(pattern: str) -> str:
    found = re.search(pattern, _PIN.read_text(encoding="utf-8"), re.MULTILINE)
    if not found:
        raise ValueError(f"{_PIN} has no line like {pattern}")
    return found[1]
