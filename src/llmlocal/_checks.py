"""Checks of arguments that several calls share."""

from __future__ import annotations

from llmlocal._quote import quote
from llmlocal.errors import ParameterError

__all__ = ["check_type", "check_whole"]


def check_whole(name: str, value: object, least: int, most: int) -> None:
    """Raise a ParameterError unless it is None or a whole number in this range."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ParameterError(
            f"{name} must be a whole number, {least} to {most}; got {quote(value)}"
        )


def check_type(name: str, value: object, kind: type) -> None:
    """Raise a ParameterError unless it is of this type."""
    if not isinstance(value, kind):
        raise ParameterError(f"{name} must be a {kind.__name__}, got {quote(value)}")
