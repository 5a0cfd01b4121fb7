"""Which messages to leave out when a conversation outgrows the context.

Whole turns go, oldest first; what stands before the first turn (the system message) stays.  More is
left out than must be, so that the turns that follow find the same beginning of the prompt, which
the engine then has in its cache.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

__all__ = ["Overflow", "choose_first", "room_for_answer", "turn_starts"]

Overflow = Literal["error", "drop_oldest"]

_LEAST_ROOM = 256  # tokens kept for an answer that has no limit of its own
_FILL = 0.75  # how much of the room a shortened conversation takes


def turn_starts(messages: Sequence[Mapping[str, Any]]) -> list[int]:
    """Where the turns begin: at each message of the user, the last one included."""
    return [i for i, message in enumerate(messages) if message.get("role") == "user"] or [
        len(messages)
    ]


def room_for_answer(n_ctx: int, max_tokens: int | None) -> int:
    """Tokens of the context to keep free: what the answer may take, up to a quarter of it."""
    return min(_LEAST_ROOM if max_tokens is None else max_tokens, n_ctx // 4)


def choose_first(
    starts: Sequence[int], first: int, room: int, count_from: Callable[[int], int]
) -> int:
    """The message to begin with.

    Args:
        starts: Where turns begin, ascending.
        first: Where the prompt began so far; if no turn begins there any more, all are considered.
        room: Tokens that the prompt may have.
        count_from: Tokens of the prompt that begins at a given message.

    Returns:
        One of ``starts``: ``first`` if that fits, or the oldest if all does; else the oldest from
        which the prompt fills no more than three quarters of the room; else the last, whether it
        fits or not.
    """
    k = starts.index(first) if first in starts else 0
    goal = int(room * _FILL)
    count = count_from(starts[k])
    # What was left out did not fit beside a prompt that had reached the goal.  It may fit beside a
    # smaller one: there is room again when turns were taken back.
    if k and count <= goal and count_from(starts[0]) <= room:
        return starts[0]
    if count <= room:
        return starts[k]
    later = starts[k + 1 :]
    # The count falls from each start to the next, so the first that fits can be searched for.
    found = bisect.bisect_left(later, True, key=lambda start: count_from(start) <= goal)
    return later[found] if found < len(later) else starts[-1]
