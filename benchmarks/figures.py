"""How numbers are written for people."""

from __future__ import annotations

from benchmarks.samples import Summary

__all__ = ["number", "quantity", "spread"]


def number(value: float) -> str:
    """A number with as many digits as it deserves."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 0.1:
        return f"{value:.2f}"
    return f"{value:.3g}"


def quantity(value: float, unit: str) -> str:
    """A number in a unit that suits its size."""
    if unit == "s" and abs(value) < 1:
        return f"{number(value * 1000)} ms"
    if unit == "bytes":
        return f"{number(value / 1e6)} MB"
    return f"{number(value)} {unit}".strip()


def spread(summary: Summary) -> str:
    """Half the distance between the quartiles, as a part of the median."""
    return f"± {100 * summary.spread:.1f} %" if summary.count > 1 else ""
