"""Where an answer begins that comes after reasoning, as the engine has to know it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Reasoning"]


@dataclass(frozen=True)
class Reasoning:
    """How a model sets its reasoning apart, and whether it is in the midst of it.

    Attributes:
        opening: What stands before it.
        closing: What stands between it and the answer.
        direct: What stands before an answer without reasoning; mostly nothing.
        pad: White space that belongs to the tags.
        is_open: Whether the prompt has opened the reasoning.
    """

    opening: str
    closing: str
    direct: str = ""
    pad: str = "\n"
    is_open: bool = False

    @property
    def tags(self) -> tuple[str, str, str, str]:
        """All but where the prompt is."""
        return self.opening, self.closing, self.direct, self.pad
