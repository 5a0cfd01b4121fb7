"""Any number of prompts, of which only some are under way: answers as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from llmlocal import _core
from llmlocal._generation._completion import Completion
from llmlocal._generation._order import prefix_order
from llmlocal._generation._reply import Reply
from llmlocal._log import pass_on_log

__all__ = ["answers_as_they_end"]

_SLICE_MS = 100  # Between two of them Ctrl-C is seen.

Tokens = Sequence[int]
Submit = Callable[[list[Tokens]], list[Reply]]


def answers_as_they_end(
    prompts: Iterator[Tokens], submit: Submit, in_flight: int
) -> Iterator[tuple[int, Completion]]:
    """Evaluate prompts, ``in_flight`` of them at a time at most.

    Of those that are read together, the ones with a common beginning are evaluated one after the
    other.  Nothing is read ahead of what may be under way, and what is under way stops when nobody
    asks for more.

    Yields:
        The place of a prompt, from 0, and its answer.
    """
    ready = _core.ReadyQueue()
    under_way: dict[int, Reply] = {}
    n_read = 0
    is_exhausted = False
    try:
        while True:
            # Half of them at a time: the more are ordered together, the less is evaluated twice.
            if not is_exhausted and len(under_way) <= in_flight // 2:
                batch = list(islice(prompts, in_flight - len(under_way)))
                is_exhausted = not batch
                order = prefix_order(batch)
                for place, reply in zip(order, submit([batch[i] for i in order]), strict=True):
                    under_way[n_read + place] = reply
                    reply.request.announce_on(ready, n_read + place, until_end=True)
                n_read += len(batch)
            if not under_way:
                return
            for place in ready.wait(_SLICE_MS):
                reply = under_way[place]
                reply.read(0, until_end=True)
                if reply.is_complete:
                    del under_way[place]
                    yield place, reply.completion()
    finally:
        for reply in under_way.values():
            reply.cancel()
        pass_on_log()
