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

__all__ = ["exponent"]

_MAX_PATTERN = 200
_MAX_REPEAT = 20  # x{m,n} with more than this counts as unbounded
_SINGLE = {sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN, sre.CATEGORY}
_REPEATS = {sre.MAX_REPEAT, sre.MIN_REPEAT} | {
    getattr(sre, name) for name in ("POSSESSIVE_REPEAT",) if hasattr(sre, name)
}


def exponent(pattern: str) -> int | None:
    """The power of the text's length that matching may cost; None when there is no such bound.

    Raises:
        re.error: The pattern is malformed.
    """
    if len(pattern) > _MAX_PATTERN:
        return None
    parsed: list[Any] = list(sre_parse.parse(pattern))
    power = _repeats(parsed)
    if power is None:
        return None
    is_anchored = bool(parsed) and parsed[0] in (
        (sre.AT, sre.AT_BEGINNING),
        (sre.AT, sre.AT_BEGINNING_STRING),
    )
    return power + (not is_anchored)


def _repeats(items: Any) -> int | None:
    """How many unbounded repeats lie in sequence; None for one inside another, or worse."""
    total = 0
    for op, argument in items:
        if op in _SINGLE or op is sre.AT:
            continue
        inner = _inner(op, argument)
        if inner is None:
            return None
        total += inner
    return total


def _inner(op: Any, argument: Any) -> int | None:
    if op in _REPEATS:
        _, most, body = argument
        if any(item[0] not in _SINGLE for item in body):
            return None
        return 1 if most > _MAX_REPEAT else 0
    if op is sre.SUBPATTERN:
        return _repeats(argument[3])
    if op in (sre.ASSERT, sre.ASSERT_NOT):
        return _repeats(argument[1])
    if op is sre.BRANCH:
        counts = [_repeats(branch) for branch in argument[1]]
        return None if None in counts else sum(count for count in counts if count is not None)
    return None  # back references, conditions, and whatever comes next
