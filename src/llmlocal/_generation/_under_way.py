"""Many replies that are under way, and which of them have ended."""

from __future__ import annotations

from llmlocal import _core
from llmlocal._generation._reply import Reply

__all__ = ["UnderWay"]

_SLICE_MS = 100  # Between two of them Ctrl-C is seen.


class UnderWay:
    """Waits for any number of replies at once, in one thread.  Its length: those still under way."""

    def __init__(self) -> None:
        self._ready = _core.ReadyQueue()
        self._replies: dict[int, Reply] = {}

    def __len__(self) -> int:
        return len(self._replies)

    def add(self, place: int, reply: Reply) -> None:
        """Wait for this one as well; ``place`` is its name, 0 or more."""
        self._replies[place] = reply
        reply.request.announce_on(self._ready, place, until_end=not reply.wants_news)

    def ended(self) -> list[tuple[int, Reply]]:
        """Those that have ended since the last time; none after a tenth of a second without any."""
        complete = []
        for place in self._ready.wait(_SLICE_MS):
            reply = self._replies[place]
            reply.read(0, until_end=not reply.wants_news)
            if reply.is_complete:
                complete.append((place, self._replies.pop(place)))
        return complete

    def cancel(self) -> None:
        """Stop those that are still under way."""
        for reply in self._replies.values():
            reply.cancel()
