"""``regex_replace`` for templates, without the patterns that take for ever."""

from __future__ import annotations

import re

from .._regex_cost import most_steps
from ..errors import TemplateError

__all__ = ["regex_replace"]

_MAX_STEPS = 100_000_000


def regex_replace(text: str, pattern: str, replacement: str = "", count: int = 0) -> str:
    """``text`` with every match of ``pattern`` replaced, as ``re.sub`` does.

    Raises:
        TemplateError: The pattern is malformed, or could take too long on a text of this length.
    """
    try:
        steps = most_steps(pattern, len(text))
    except (re.error, OverflowError, RecursionError) as exc:
        message = f"the chat template's regular expression {pattern[:80]!r} is malformed: {exc}"
        raise TemplateError(message) from exc
    if steps is None or steps > _MAX_STEPS:
        message = (
            f"the chat template's regular expression {pattern[:80]!r} could take too long to run"
        )
        raise TemplateError(message)
    return re.sub(pattern, str.__str__(replacement), str.__str__(text), count=count)
