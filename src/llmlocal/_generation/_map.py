"""Any number of prompts, of which only some are under way: answers as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice

from llmlocal._generation._completion import Completion
from llmlocal._generation._reply import Reply
from llmlocal._generation._under_way import UnderWay
from llmlocal._log import pass_on_log

__all__ = ["answers_as_they_end"]

Tokens = Sequence[int]
Submit = Callable[[list[Tokens]], list[Reply]]
Counting = AbstractContextManager[Callable[[int], None]]


def answers_as_they_end(
    prompts: Iterator[Tokens], submit: Submit, in_flight: int, counting: Counting
) -> Iterator[tuple[int, Completion]]:
    """Evaluate prompts, ``in_flight`` of them at a time at most.

    Of those that are read together, the ones with a common beginning are evaluated one after the
    other.  Nothing is read ahead of what may be under way, and what is under way stops when nobody
    asks for more.

    Yields:
        The place of a prompt, from 0, and its answer.
    """
    under_way = UnderWay()
    n_read = n_answered = 0
    is_exhausted = False
    try:
        with counting as tell:
            while True:
                # Half of them at a time: the more are ordered together, the less is done twice.
                if not is_exhausted and len(under_way) <= in_flight // 2:
                    batch = list(islice(prompts, in_flight - len(under_way)))
                    is_exhausted = not batch
                    for reply in submit(batch):
                        under_way.add(n_read, reply)
                        n_read += 1
                if not under_way:
                    return
                for place, reply in under_way.ended():
                    n_answered += 1
                    tell(n_answered)
                    yield place, reply.completion()
    finally:
        under_way.cancel()
        pass_on_log()
