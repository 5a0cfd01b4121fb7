"""Tables for people: columns as wide as their widest entry, and as many as the terminal has room for."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from llmlocal.cli._terminal import is_terminal

__all__ = ["aligned", "columns_that_fit", "print_table"]

_GAP = "  "


def print_table(rows: Sequence[Sequence[str]], *, spare: Sequence[str] = ()) -> None:
    """Print a table; a pipe gets all of it.

    Args:
        rows: Its cells, the headings first.
        spare: Headings of columns that a narrow terminal does without, the first to go first.
    """
    kept = list(range(len(rows[0])))
    if is_terminal(sys.stdout):
        kept = columns_that_fit(rows, shutil.get_terminal_size().columns, spare)
    for line in aligned([[row[column] for column in kept] for row in rows]):
        print(line)
    gone = [heading for column, heading in enumerate(rows[0]) if column not in kept]
    if gone:
        print(f"(a wider terminal shows {', '.join(gone)} too; --json all)", file=sys.stderr)


def columns_that_fit(
    rows: Sequence[Sequence[str]], width: int, spare: Sequence[str] = ()
) -> list[int]:
    """The columns of a table for a terminal of so many characters; see :func:`print_table`."""
    widths = _widths(rows)
    kept = list(range(len(widths)))
    for heading in spare:
        if sum(widths[column] for column in kept) + len(_GAP) * (len(kept) - 1) <= width:
            break
        kept.remove(rows[0].index(heading))
    return kept


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Each row as a line."""
    widths = _widths(rows)
    return [
        _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
