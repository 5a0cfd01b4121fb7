r"""What matching a regular expression may cost, read off the pattern before it is run.

Python's ``re``, and the C++ library's, go back and forth without end for some patterns, and can't be
interrupted.  Patterns in use (``^[\s\S]*</think>``) cost a low power of the text's length.
"""

from __future__ import annotations

import sys
from typing import Any

if sys.version_info >= (3, 11):
    from re import _constants as sre  # type: ignore[attr-defined]  # no stub; stable since 3.11
    from re import _parser as sre_parse  # type: ignore[attr-defined]  # no stub; stable since 3.11
else:
    import sre_constants as sre
    import sre_parse

__all__ = ["most_steps"]

_MAX_PATTERN = 200
_SINGLE = {sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN, sre.CATEGORY}
_REPEATS = {sre.MAX_REPEAT, sre.MIN_REPEAT} | {
    getattr(sre, name) for name in ("POSSESSIVE_REPEAT",) if hasattr(sre, name)
}


def most_steps(pattern: str, length: int) -> int | None:
    """In how many ways a text may be tried at most; None when there is no bound to speak of.

    Args:
        pattern: A regular expression.
        length: Characters of the text.

    Raises:
        re.error: The pattern is malformed.

    Example:
        >>> most_steps("(a|b)c*", 9)  # ten places, two letters, 0 to 9 times c
        200
    """
    if len(pattern) > _MAX_PATTERN:
        return None
    parsed: list[Any] = list(sre_parse.parse(pattern))
    ways = _ways(parsed, length)
    if ways is None:
        return None
    is_anchored = bool(parsed) and parsed[0] in (
        (sre.AT, sre.AT_BEGINNING),
        (sre.AT, sre.AT_BEGINNING_STRING),
    )
    return ways if is_anchored else ways * (length + 1)


def _ways(items: Any, length: int) -> int | None:
    """Of matching what lies in sequence at one place; None for a repeat inside another, or worse."""
    total = 1
    for op, argument in items:
        ways = 1 if op in _SINGLE or op is sre.AT else _ways_of(op, argument, length)
        if ways is None:
            return None
        total *= ways
    return total


def _ways_of(op: Any, argument: Any, length: int) -> int | None:
    if op in _REPEATS:
        least, most, body = argument
        if any(item[0] not in _SINGLE for item in body):
            return None
        return min(int(most) - int(least), length) + 1
    if op is sre.SUBPATTERN:
        return _ways(argument[3], length)
    if op in (sre.ASSERT, sre.ASSERT_NOT):
        return _ways(argument[1], length)
    if op is sre.BRANCH:
        ways = [_ways(branch, length) for branch in argument[1]]
        return None if None in ways else sum(each for each in ways if each is not None)
    return None  # back references, conditions, and whatever comes next
