"""In which order many prompts are evaluated, so that none of what they share is evaluated twice."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["prefix_order"]


def prefix_order(prompts: Sequence[Sequence[int]]) -> list[int]:
    """The places of the prompts in the order of the tree of their beginnings.

    That is the order of the tokens, as in a dictionary: whoever shares a beginning stands together,
    whoever shares more of it stands closer, and one beginning need be held at a time.  Equal ones
    stay as they are.
    """
    return sorted(range(len(prompts)), key=lambda place: list(prompts[place]))
