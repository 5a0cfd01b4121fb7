"""How large a result will be, before it is made.

For operations whose result can be far larger than what they are given.  Pure arithmetic;
:class:`Meter` decides what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ..errors import TemplateError

__all__ = ["FILTER_SIZES", "METHOD_SIZES", "binop_size", "check_spec", "printf_size"]

_MAX_INT_BITS = 4096
_MAX_WIDTH = 10_000  # of one formatted field
_TOO_MUCH = 10**18
_PRINTF = re.compile(r"%(?:\([^)]*\))?[-#0 +]*(\*|\d*)(?:\.(\*|\d*))?")
_NUMBER = re.compile(r"\d+")


def binop_size(name: str, left: Any, right: Any) -> int:
    """Characters or elements of ``left name right``; numbers of thousands of digits are too much."""
    if name == "+" and hasattr(left, "__len__") and hasattr(right, "__len__"):
        return len(left) + len(right)
    if name == "*":
        for value, times in ((left, right), (right, left)):
            if isinstance(value, str | list | tuple) and isinstance(times, int):
                return len(value) * max(times, 0)
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * (abs(right) if name == "**" else 1) + right.bit_length()
        return 1 if bits <= _MAX_INT_BITS else _TOO_MUCH
    return 1


def printf_size(template: str) -> int:
    """Characters that the widths in ``template % values`` ask for."""
    fields = [field for match in _PRINTF.findall(template) for field in match if field]
    for field in fields:
        check_spec(field)
    return len(template) + _MAX_WIDTH * len(fields)


def check_spec(spec: str) -> None:
    """Refuse a format whose width is not written out, or large."""
    if (
        "{" in spec
        or "*" in spec
        or any(int(number) > _MAX_WIDTH for number in _NUMBER.findall(spec[:40]))
    ):
        message = f"the chat template formats with {spec[:40]!r}, which has no small width"
        raise TemplateError(message)
    if len(spec) > 40:
        message = "the chat template formats with a pattern of more than 40 characters"
        raise TemplateError(message)


def _width(text: str, width: int = 80, *_: object) -> int:
    return max(len(text), int(width))


def _tabs(text: str, tabsize: int = 8) -> int:
    return len(text) + text.count("\t") * max(int(tabsize), 0)


def _replaced(text: str, old: str, new: str, *_: object) -> int:
    return len(text) + (text.count(old) if old else len(text) + 1) * len(new)


def _indented(text: str, width: int | str = 4, *_: object, **__: object) -> int:
    step = len(width) if isinstance(width, str) else int(width)
    return len(text) + 2 + (len(str.splitlines(text)) + 1) * max(step, 0)


def _wrapped(
    text: str, width: int = 79, *others: Any, wrapstring: str | None = None, **_: Any
) -> int:
    separator = others[1] if len(others) > 1 else wrapstring
    lines = len(text) // max(int(width), 1) + len(text.split()) + 1
    return len(text) + lines * len(separator or "\n")


def _count(_: object, count: int = 1, *__: object, **___: object) -> int:
    return int(count)


def _rounded(_: object, precision: int = 0, *__: object, **___: object) -> int:
    return abs(int(precision)) * 1000  # 10**precision is worked out


Size = Callable[..., int]

METHOD_SIZES: dict[str, Size] = {
    "center": _width,
    "expandtabs": _tabs,
    "ljust": _width,
    "replace": _replaced,
    "rjust": _width,
    "zfill": _width,
}
"""Methods of ``str``."""

FILTER_SIZES: dict[str, Size] = {
    "batch": _count,
    "center": _width,
    "indent": _indented,
    "round": _rounded,
    "slice": _count,
    "wordwrap": _wrapped,
}
"""Jinja's own filters."""
