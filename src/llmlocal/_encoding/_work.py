"""One call's texts on their way through the encoder: submitted in portions, given back in order.

Portions keep memory flat however many texts there are, and the tokenizer works on the next ones
while the engine evaluates the last.  The blocking and the asyncio way differ in how they wait.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmlocal import _core
from llmlocal._checks import check_seconds
from llmlocal._deadline import seconds_left, within
from llmlocal._in_thread import in_thread
from llmlocal._log import pass_on_log
from llmlocal.errors import RequestCancelledError, RequestTimeoutError

if TYPE_CHECKING:
    from llmlocal._encoding._encoder import Encoder
    from llmlocal._encoding._vectors import Floats

__all__ = ["Part", "Portion", "Work"]

# Enough for the engine to choose from, few enough that a stream starts soon.
_PORTION = 256
_AHEAD = 2
# Python runs signal handlers, and so sees Ctrl-C, between two calls into the extension.
_SLICE_MS = 100

Part = Sequence[int]
"""The token ids of one evaluation, with special tokens; a long text may have several."""


@dataclass(frozen=True)
class Portion:
    """Vectors of some texts, in order.

    Attributes:
        vectors: One row for each part.
        parts: For each text, how many tokens each of its parts has.
    """

    vectors: Floats
    parts: Sequence[Sequence[int]]

    @property
    def tokens(self) -> int:
        return sum(map(sum, self.parts))


@dataclass
class _Pending:
    job: _core.EmbeddingJob
    parts: list[list[int]]


class Work:
    """The work of one call.

    Args:
        encoder: Where it is done.
        prepare: Makes a text into the parts to evaluate.
        timeout: Seconds for all of it; None = no limit.
        report: Told how many texts are done; what it raises ends the work.
        model: Held until the work is done.
    """

    def __init__(
        self,
        encoder: Encoder,
        prepare: Callable[[object], Sequence[Part]],
        *,
        timeout: float | None,
        report: Callable[[int], None] | None = None,
        model: object = None,
    ) -> None:
        check_seconds("timeout", timeout)
        self._encoder = encoder
        self._prepare = prepare
        self._timeout = timeout
        self._end = None if timeout is None else time.monotonic() + timeout
        self._report = report or (lambda _: None)
        self._model = model  # Which is closed when nobody holds it.
        self._done = 0

    def run(self, texts: Iterable[object]) -> Iterator[Portion]:
        """Evaluate texts and wait for them.  Whatever is raised, nothing goes on alone.

        Raises:
            RequestTimeoutError: The time is over.
            EngineError: The evaluation failed, or the model was closed.
        """
        pending: deque[_Pending] = deque()
        try:
            for portion in _portions(texts):
                pending.append(self._submit(portion))
                if len(pending) > _AHEAD:
                    yield self._await(pending[0])
                    pending.popleft()
            while pending:
                yield self._await(pending[0])
                pending.popleft()
        finally:
            self._leave(pending)

    async def arun(self, texts: Iterable[object]) -> AsyncIterator[Portion]:
        """The same without blocking the event loop; cancelling the task ends the work."""
        pending: deque[_Pending] = deque()
        try:
            for portion in _portions(texts):
                # Tokenizing takes a while: not in the loop's thread.
                pending.append(await in_thread(self._submit, portion))
                if len(pending) > _AHEAD:
                    yield await self._await_in_task(pending[0])
                    pending.popleft()
            while pending:
                yield await self._await_in_task(pending[0])
                pending.popleft()
        finally:
            self._leave(pending)

    def _submit(self, texts: Sequence[object]) -> _Pending:
        left = None if self._end is None else self._end - time.monotonic()
        if left is not None and left <= 0:
            raise self._late()
        with within(left):
            prepared = [self._prepare(text) for text in texts]
            left = seconds_left()
        parts = [[len(part) for part in each] for each in prepared]
        job = self._encoder.submit([part for each in prepared for part in each], timeout=left)
        return _Pending(job, parts)

    def _await(self, pending: _Pending) -> Portion:
        while (outcome := pending.job.read(_SLICE_MS)) is None:
            self._report(self._done + min(pending.job.done, len(pending.parts)))
        return self._take(pending, outcome)

    async def _await_in_task(self, pending: _Pending) -> Portion:
        waker = self._encoder.waker
        watch_id, news = waker.watch(pending.job, until_end=True)
        try:
            while (outcome := pending.job.read(0)) is None:
                await news.wait()
                news.clear()
        finally:
            waker.forget(watch_id)
        return self._take(pending, outcome)

    def _take(self, pending: _Pending, outcome: _core.Outcome) -> Portion:
        outcome.raise_error()
        if outcome.finish_reason is _core.FinishReason.TIMEOUT:
            raise self._late()
        if outcome.finish_reason is _core.FinishReason.CANCELLED:
            raise RequestCancelledError("the work was cancelled")
        self._done += len(pending.parts)
        self._report(self._done)
        return Portion(pending.job.vectors(), pending.parts)

    def _late(self) -> RequestTimeoutError:
        return RequestTimeoutError(
            f"the texts were not done within timeout={self._timeout} seconds; {self._done} were"
        )

    def _leave(self, pending: Iterable[_Pending]) -> None:
        for each in pending:
            each.job.cancel()
        pass_on_log()


def _portions(texts: Iterable[object]) -> Iterator[list[object]]:
    iterator = iter(texts)
    while portion := list(itertools.islice(iterator, _PORTION)):
        yield portion
