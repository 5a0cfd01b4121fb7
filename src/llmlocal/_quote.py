"""A value as an error message quotes it: short, and whatever the value is."""

from __future__ import annotations

import reprlib

__all__ = ["quote"]


def quote(value: object, most: int = 60) -> str:
    """The beginning of a value's ``repr``.

    No more of it is looked at than is shown, so a gigabyte of text and a list that is nested
    without end cost nothing, and a value whose ``repr`` fails is described by its type.

    Args:
        value: Any object.
        most: Characters to show at most.

    Example:
        >>> quote("a" * 1_000_000, 12)
        "'aaaaaaaa..."
    """
    short = reprlib.Repr()
    short.maxlevel = 4
    short.maxstring = short.maxother = short.maxlong = 2 * most
    try:
        # Text is cut at its end, where reprlib would cut in the middle.
        text = repr(value[:most]) if isinstance(value, (str, bytes)) else short.repr(value)
    except Exception:  # noqa: BLE001 - a value may do anything when it is asked for its text
        text = f"<{type(value).__name__}>"
    return text if len(text) <= most else f"{text[: most - 3]}..."
