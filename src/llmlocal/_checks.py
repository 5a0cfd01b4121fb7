"""Checks of arguments that several calls share."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from llmlocal._quote import quote
from llmlocal.errors import ParameterError

__all__ = [
    "check_bool",
    "check_choice",
    "check_path",
    "check_seconds",
    "check_type",
    "check_whole",
    "listed",
    "mapped",
]


_LONGEST_NAME = 255  # Of a file: what file systems take.
LONGEST_S = 1e9  # Some thirty years: what clocks can count with.


def check_whole(
    name: str, value: object, least: int, most: int, *, is_optional: bool = True
) -> None:
    """Raise a ParameterError unless it is a whole number in this range, or None if it is optional."""
    if value is None and is_optional:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ParameterError(
            f"{name} must be a whole number, {least} to {most}; got {quote(value)}"
        )


def check_bool(name: str, value: object) -> None:
    """Raise a ParameterError unless it is True or False."""
    check_type(name, value, bool)


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Raise a ParameterError unless it is one of these words."""
    # Asked for its type first: what an array makes of == is no bool.
    if not isinstance(value, str) or value not in choices:
        *others, last = map(repr, choices)
        words = f"{', '.join(others)} or {last}" if others else last
        raise ParameterError(f"{name} must be {words}, got {quote(value)}")


def check_seconds(name: str, value: object, *, may_be_zero: bool = False) -> None:
    """Raise a ParameterError unless it is a time of more than nothing, or None."""
    if value is None:
        return
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    seconds = cast("float", value) if is_number else -1.0
    if 0 < seconds <= LONGEST_S or (may_be_zero and seconds == 0):
        return
    least = ">= 0" if may_be_zero else "> 0"
    raise ParameterError(f"{name} must be {least} seconds, got {quote(value)}")


def mapped(name: str, value: object) -> dict[Any, Any]:
    """A copy of a mapping; an empty one for None.

    Raises:
        ParameterError: It is no mapping.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ParameterError(f"{name} must be a dict, got {quote(value)}")
    return dict(value)


def listed(name: str, value: object) -> list[Any]:
    """What an iterable holds.

    Raises:
        ParameterError: It is a text, or can't be iterated over.
    """
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, bytearray)):
        try:
            return list(value)
        except TypeError:  # numpy's arrays of no dimension say that they can.
            pass
    raise ParameterError(f"{name} must be a list, got {quote(value)}")


def check_path(name: str, value: object) -> None:
    """Raise a ParameterError unless it is None, or may be a path."""
    if value is None:
        return
    if not isinstance(value, (str, os.PathLike)):
        raise ParameterError(f"{name} must be a path, got {quote(value)}")
    try:
        path = os.fsencode(value)
    except (TypeError, UnicodeEncodeError):
        raise ParameterError(
            f"{name} must be a path that this system can write, got {quote(value)}"
        ) from None
    if b"\0" in path:
        raise ParameterError(f"{name} must be a path without a NUL character, got {quote(value)}")
    if any(len(part) > _LONGEST_NAME for part in path.replace(b"\\", b"/").split(b"/")):
        raise ParameterError(
            f"{name} has a part of more than {_LONGEST_NAME} bytes, got {quote(value)}"
        )


def check_type(name: str, value: object, kind: type) -> None:
    """Raise a ParameterError unless it is of this type."""
    if not isinstance(value, kind):
        raise ParameterError(f"{name} must be a {kind.__name__}, got {quote(value)}")
