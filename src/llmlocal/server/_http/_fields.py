"""The fields of a JSON body: taken one by one with their types, and what is left over is judged.

A field that the engine can't honour is refused by name; one that changes nothing here is let pass
if it is known to be harmless; one that nobody knows is logged once and let pass, since clients
send what their own servers understand.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from llmlocal._quote import quote
from llmlocal.server._http._errors import ApiError

__all__ = ["Fields"]

_logger = logging.getLogger("llmlocal.server")
_told: set[str] = set()
_MOST_TOLD = 1000  # Names of fields come from clients.


class Fields:
    """A JSON object whose fields are taken out one by one; null counts as absent.

    Args:
        body: The object.
        where: What comes before the names in messages, such as ``"messages[0]."``.
    """

    def __init__(self, body: Mapping[str, Any], where: str = "") -> None:
        self._left = {name: value for name, value in body.items() if value is not None}
        self._where = where

    def error(self, name: str, why: str) -> ApiError:
        """A 400 about a field."""
        param = self._where + name
        return ApiError(400, f"{param}: {why}", param=param, code="invalid_value")

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def any(self, name: str) -> Any:
        """Whatever it is."""
        return self._left.pop(name, None)

    def text(self, name: str, default: str | None = None) -> str | None:
        """A string."""
        return cast("str | None", self._typed(name, default, _is_text, "a string"))

    def needed_text(self, name: str) -> str:
        """A string that must be there."""
        value = self.text(name)
        if value is None:
            raise self.error(name, "is missing")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false."""
        return bool(
            self._typed(name, default, lambda value: isinstance(value, bool), "true or false")
        )

    def number(self, name: str) -> float | None:
        """A finite number."""
        return cast("float | None", self._typed(name, None, _is_number, "a number"))

    def whole(self, name: str, least: int, most: int, default: int | None = None) -> int | None:
        """A whole number in a range."""
        value: Any = self.any(name)
        if value is None:
            return default
        if not _is_number(value) or value != int(value) or not least <= value <= most:
            raise self.error(name, f"must be a whole number, {least} to {most}; got {quote(value)}")
        return int(value)

    def mapping(self, name: str) -> dict[str, Any] | None:
        """An object."""
        found = self._typed(name, None, lambda value: isinstance(value, dict), "an object")
        return cast("dict[str, Any] | None", found)

    def array(self, name: str) -> list[Any] | None:
        """An array."""
        found = self._typed(name, None, lambda value: isinstance(value, list), "an array")
        return cast("list[Any] | None", found)

    def one_of(self, name: str, choices: Iterable[str], default: str) -> str:
        """One of a few words."""
        value = self.any(name)
        if value is None:
            return default
        allowed = list(choices)
        if value not in allowed:
            raise self.error(name, f"must be one of {', '.join(allowed)}; got {quote(value)}")
        return str(value)

    def texts(self, name: str) -> list[str]:
        """A string, or an array of strings."""
        value = self.any(name)
        values = [value] if isinstance(value, str) else [] if value is None else value
        if not isinstance(values, list) or not all(_is_text(each) for each in values):
            raise self.error(name, f"must be a string or an array of strings; got {quote(value)}")
        return values

    def finish(self, harmless: Iterable[str], refused: Mapping[str, str]) -> None:
        """Judge what is left.

        Args:
            harmless: Names that change nothing here.
            refused: Names that ask for something that is not to be had, with the reason.

        Raises:
            ApiError: 400 for one of the refused.
        """
        for name in refused:
            if self._left.get(name) not in (None, [], {}, False):
                param = self._where + name
                raise ApiError(
                    400, f"{param}: {refused[name]}", param=param, code="unsupported_parameter"
                )
        for name in self._left.keys() - set(harmless) - refused.keys():
            if name not in _told and len(_told) < _MOST_TOLD:
                _told.add(name)
                _logger.warning("ignoring the unknown field %s of a request", quote(name))

    def _typed(self, name: str, default: Any, fits: Callable[[Any], bool], what: str) -> Any:
        value = self.any(name)
        if value is None:
            return default
        if not fits(value):
            raise self.error(name, f"must be {what}; got {quote(value)}")
        return value


def _is_text(value: object) -> bool:
    """Text that can be written as UTF-8: JSON may hold lone surrogates."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_number(value: object) -> bool:
    """A number that a float can hold: JSON's may have any number of digits."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
