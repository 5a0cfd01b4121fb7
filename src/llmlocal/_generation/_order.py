"""In which order many prompts are evaluated, so that none of what they share is evaluated twice."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

__all__ = ["prefix_order"]

_WORTH_SHARING = 16  # Tokens; what is less is not kept for others.


def prefix_order(prompts: Sequence[Sequence[int]]) -> list[int]:
    """The places of the prompts in the order of the tree of their beginnings.

    Prompts that share a beginning stand together, in the order of their tokens as in a dictionary:
    whoever shares more of it stands closer, and one beginning need be held at a time.  The groups
    that this makes, and prompts that share nothing, stay in the order of the list.
    """
    groups: list[list[int]] = []
    before: Sequence[int] = ()
    for place in sorted(range(len(prompts)), key=lambda place: list(prompts[place])):
        prompt = prompts[place]
        if not groups or _shared(before, prompt) < _WORTH_SHARING:
            groups.append([])
        groups[-1].append(place)
        before = prompt
    return [place for group in sorted(groups, key=min) for place in group]


def _shared(first: Sequence[int], second: Sequence[int]) -> int:
    both = zip(first, second, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], both))
