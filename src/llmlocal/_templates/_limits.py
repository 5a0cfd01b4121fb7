"""Bounds on what rendering a template may cost, and the error for one that wants more."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TemplateError

__all__ = ["Limits", "TemplateLimitError"]


class TemplateLimitError(TemplateError):
    """The template asked for more than a template needs: it is broken, or hostile."""


@dataclass(frozen=True)
class Limits:
    """Bounds of one rendering.

    Attributes:
        seconds: Processor time; the most it may be exceeded by is one operation on values of
            the largest size, which is well under a second.
        size: Characters and elements of one value, on top of eight times what was passed in.
            Over the whole rendering, values of 256 times that may be made.
    """

    seconds: float = 5.0
    size: int = 500_000
