"""Checks of arguments that several calls share."""

from __future__ import annotations

import os

from llmlocal._quote import quote
from llmlocal.errors import ParameterError

__all__ = ["check_bool", "check_path", "check_type", "check_whole"]


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


def check_path(name: str, value: object) -> None:
    """Raise a ParameterError unless it is None, or may be a path."""
    if value is None:
        return
    if not isinstance(value, (str, os.PathLike)):
        raise ParameterError(f"{name} must be a path, got {quote(value)}")
    if "\0" in str(value):
        raise ParameterError(f"{name} must be a path without a NUL character, got {quote(value)}")


def check_type(name: str, value: object, kind: type) -> None:
    """Raise a ParameterError unless it is of this type."""
    if not isinstance(value, kind):
        raise ParameterError(f"{name} must be a {kind.__name__}, got {quote(value)}")
