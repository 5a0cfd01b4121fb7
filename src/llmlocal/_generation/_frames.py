"""When a stream hands over what has come: each token at once, or with others at the end of a frame.

A piece costs its reader much the same however many tokens it holds: a thread is woken, a task is
resumed, a packet is sent, all with code that the model's weights have driven out of the caches.
"""

from __future__ import annotations

import math

from llmlocal._quote import quote
from llmlocal.errors import ParameterError

__all__ = ["Frames"]

_SHORTEST_S, _LONGEST_S = 0.001, 60.0


class Frames:
    """Decides, token by token, whether to wait for the end of a frame.

    The first token never waits, nor does any of a stream that is slower than the frames are.

    Args:
        seconds: How long a frame is, 0.001 to 60.

    Attributes:
        is_fast: Whether more than one token is expected within a frame.

    Raises:
        ParameterError: That is no such time.
    """

    def __init__(self, seconds: float) -> None:
        given: object = seconds
        is_number = isinstance(given, (int, float)) and not isinstance(given, bool)
        if not is_number or not _SHORTEST_S <= seconds <= _LONGEST_S:
            raise ParameterError(
                f"seconds must be a number, {_SHORTEST_S:g} to {_LONGEST_S:g}; got {quote(seconds)}"
            )
        self._seconds = seconds
        self._latest = -math.inf
        self.is_fast = False

    def saw(self, now: float, *, has_news: bool) -> bool:
        """Take note that the stream was looked at; return whether ``is_fast`` has changed.

        Args:
            now: The loop's time.
            has_news: Whether a token had come.
        """
        was_fast = self.is_fast
        if was_fast:
            self.is_fast = has_news
        elif has_news:
            self.is_fast = now - self._latest < self._seconds
        if has_news:
            self._latest = now
        return self.is_fast != was_fast

    def end(self, now: float) -> float:
        """When the running frame ends: at the same time for all streams, which then wake together."""
        return (math.floor(now / self._seconds) + 1) * self._seconds
