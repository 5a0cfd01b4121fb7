"""Waiting for an answer in an asyncio task.

An event loop can't wait for the engine's condition variables, and a thread for each request would
be a waste.  So one thread for all of a model's requests waits in the extension, without the
interpreter's lock, and wakes the tasks whose requests have news: one wake-up for all the tokens
that have come since the last.
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from llmlocal import _core
from llmlocal._generation._completion import Completion
from llmlocal._generation._frames import Frames
from llmlocal._generation._logprobs import TokenLogprob
from llmlocal._generation._reply import Reply
from llmlocal._in_thread import in_thread
from llmlocal.errors import EngineError

if TYPE_CHECKING:
    import asyncio

__all__ = ["AsyncStream", "Waker"]

_STOP = 0  # The id that ends the waker's thread; requests count from 1.
_FOREVER_MS = 2**31 - 1

# Held weakly: an event knows the task that waits for it, and the task its stream, which has to go
# when its loop was closed and nothing else refers to it.
_Sleeper = tuple["asyncio.AbstractEventLoop", "weakref.ref[asyncio.Event]"]


class Waker:
    """The thread that wakes tasks.  It starts with the first request."""

    def __init__(self) -> None:
        self._queue = _core.ReadyQueue()
        self._ids = itertools.count(_STOP + 1)
        self._lock = threading.Lock()  # Guards the three below.
        self._sleepers: dict[int, _Sleeper] = {}
        self._thread: threading.Thread | None = None
        self._is_stopped = False
        self._process = os.getpid()

    def watch(
        self, request: _core.Request | _core.EmbeddingJob, *, until_end: bool
    ) -> tuple[int, asyncio.Event]:
        """Have an event of the running loop set whenever the request has news, or at its end.

        Raises:
            EngineError: The thread can't be started; the next call tries again.
        """
        import asyncio

        event = asyncio.Event()
        with self._lock:
            if self._is_stopped:
                event.set()  # The model was closed, so the request is over.
                return _STOP, event
            watch_id = next(self._ids)
            self._sleepers[watch_id] = (asyncio.get_running_loop(), weakref.ref(event))
            try:
                self._ensure_thread()
            except BaseException:
                del self._sleepers[watch_id]
                raise
        self.announce(request, watch_id, until_end=until_end)
        return watch_id, event

    def announce(
        self, request: _core.Request | _core.EmbeddingJob, watch_id: int, *, until_end: bool
    ) -> None:
        """From now on, set the event of a request that is watched for any news, or for its end."""
        request.announce_on(self._queue, watch_id, until_end=until_end)

    def _ensure_thread(self) -> None:
        if self._thread is not None:
            return
        thread = threading.Thread(
            target=_wake, args=(self._queue, self._sleepers), daemon=True, name="llmlocal-wake"
        )
        try:
            thread.start()
        except RuntimeError as exc:
            raise EngineError(
                f"the thread that wakes asyncio tasks can't be started ({exc}): end other threads,"
                " or raise the limit on them, and ask again"
            ) from exc
        self._thread = thread  # Only now: one that never ran can't be waited for.

    def forget(self, watch_id: int) -> None:
        self._sleepers.pop(watch_id, None)

    def stop(self) -> None:
        """End the thread and wait for it; every request must be over.

        Were it left alone, it would come back from the extension while the interpreter shuts down,
        which ends such a thread in the middle of C++ code, and the process with it.
        """
        if os.getpid() != self._process:
            return  # A forked child: there is no thread, and the lock may be held for good.
        with self._lock:
            self._is_stopped = True
            thread = self._thread
        if thread is None:
            return
        self._queue.push(_STOP)
        if thread is not threading.current_thread():  # The garbage collector may run in any.
            thread.join()


def _wake(queue: _core.ReadyQueue, sleepers: dict[int, _Sleeper]) -> None:
    # Not a method: the thread must not keep the waker, and with it the model, alive.
    while True:
        ready = queue.wait(_FOREVER_MS)
        _wake_all(ready, sleepers)
        if _STOP in ready:
            return


def _wake_all(ready: list[int], sleepers: dict[int, _Sleeper]) -> None:
    """Wake the tasks with one call for each loop, which is a write to that loop's pipe."""
    by_loop: dict[asyncio.AbstractEventLoop, list[int]] = {}
    for watch_id in ready:
        if sleeper := sleepers.get(watch_id):
            by_loop.setdefault(sleeper[0], []).append(watch_id)
    for loop, watch_ids in by_loop.items():
        # The call lets go of the interpreter's lock, so no event may be held here either.
        sleeping = [found[1] for each in watch_ids if (found := sleepers.get(each))]
        try:
            loop.call_soon_threadsafe(_set_all, sleeping)
        except RuntimeError:  # It was closed with its tasks unfinished.
            for each in watch_ids:
                sleepers.pop(each, None)


def _set_all(sleeping: list[weakref.ref[asyncio.Event]]) -> None:
    for each in sleeping:
        if event := each():
            event.set()


class AsyncStream:
    """Text that arrives while it is generated: an asynchronous iterator over its pieces.

    The request starts with the first piece that is asked for.  The generation stops with the
    ``async with`` block, with :meth:`cancel` or :meth:`aclose`, with the cancellation of the task
    that waits for it, and when nothing refers to the stream any more.

    Example:
        >>> async def tell() -> None:
        ...     async for piece in llm.astream("Once upon a time", max_tokens=20):
        ...         print(piece, end="", flush=True)
    """

    def __init__(
        self, start: Callable[[], Reply], waker: Waker, *, until_end: bool = False
    ) -> None:
        self._start = start
        self._waker = waker
        self._until_end = until_end
        self._reply: Reply | None = None
        self._is_cancelled = False
        self._is_closed = False
        self._watch_id = _STOP
        self._news: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop  # With the event, and the event's.
        self._at = 0  # The next piece's place in the reply.
        self._frames: Frames | None = None

    def in_frames(self, seconds: float) -> AsyncStream:
        """Hand over the tokens of a fast answer together, those of a frame as one piece.

        For readers to whom each piece is work, such as a page that is drawn or a connection.  The
        first token comes at once all the same, and so does the end.

        Args:
            seconds: How long a frame is, 0.001 to 60.

        Returns:
            This stream.

        Raises:
            ParameterError: That is no such time.

        Example:
            >>> async def tell() -> None:
            ...     async for piece in llm.astream("Once upon a time").in_frames(1 / 30):
            ...         print(piece, end="", flush=True)
        """
        self._frames = Frames(seconds)
        return self

    def __aiter__(self) -> AsyncStream:
        return self

    async def __anext__(self) -> str:
        while not self._is_closed:
            if self._reply is not None:
                text, end = self._next_text(self._reply)
                self._at = end  # Last, as in Stream.
                if text:
                    return text
            if not await self._take():
                break
        raise StopAsyncIteration

    def _next_text(self, reply: Reply) -> tuple[str, int]:
        """The next piece, empty if none has come, and the place after it."""
        if self._frames is not None:
            return reply.text_from(self._at)
        place = reply.next_piece(self._at)
        return ("", self._at) if place is None else (reply.piece(place), place + 1)

    async def _take(self) -> bool:
        """Wait for news and take them.  False: there will be none."""
        try:
            if self._reply is None:
                # Tokenizing a long prompt takes a while: not in the loop's thread.
                await in_thread(self._begin)
            assert self._reply is not None
            if self._news is None:
                import asyncio

                self._loop = asyncio.get_running_loop()
                self._watch_id, self._news = self._waker.watch(
                    self._reply.request,
                    until_end=self._until_end and not self._reply.wants_news,
                )
            if self._reply.is_complete:
                self._reply.completion()  # Raises what ended it, if that was an error.
                return False
            self._reply.check_process()
            await self._wait(self._news)
            self._news.clear()
            self._reply.read(0)
            if self._frames is not None:
                self._adapt(self._frames, self._reply)
        except BaseException:
            self.cancel()
            raise
        return True

    async def _wait(self, news: asyncio.Event) -> None:
        """Wait for news, or for the end of the frame."""
        if self._frames is None or not self._frames.is_fast:
            await news.wait()
            return
        timer = self._loop.call_at(self._frames.end(self._loop.time()), news.set)
        try:
            await news.wait()
        finally:
            timer.cancel()

    def _adapt(self, frames: Frames, reply: Reply) -> None:
        """Be woken by each token of a slow answer, and only by the end of a fast one."""
        if frames.saw(self._loop.time(), has_news=reply.end > self._at):
            self._waker.announce(reply.request, self._watch_id, until_end=frames.is_fast)

    def _begin(self) -> None:
        self._reply = self._start()
        # The task may have been cancelled meanwhile; then the answer is not wanted.
        if self._is_cancelled:
            self._reply.cancel()

    @property
    def text(self) -> str:
        """The text received so far."""
        return self._reply.text if self._reply else ""

    @property
    def logprobs(self) -> tuple[TokenLogprob, ...] | None:
        """How likely the tokens received so far are; None unless ``logprobs=`` asked for it."""
        return self._reply.logprobs if self._reply else None

    @property
    def partial(self) -> Any:
        """What the text received so far stands for, where it has to obey a constraint.

        With ``schema`` the JSON value as far as it has come, strings, lists and objects closed (no
        instance of a type: it may not be complete enough for that); None until it begins.
        """
        return self._reply.partial if self._reply else None

    async def result(self) -> Completion:
        """The whole answer with its facts; waits for the end.

        Raises:
            LLMLocalError: The request was refused, or the generation failed.
        """
        while await self._take():
            pass
        assert self._reply is not None
        return self._reply.completion()

    def cancel(self) -> None:
        """Stop the generation; what has been generated can still be read."""
        self._is_cancelled = True
        if self._reply is not None:
            self._reply.cancel()

    async def aclose(self) -> None:
        """Stop the generation and drop what was not read yet.  May be called twice."""
        self._is_closed = True
        self.cancel()

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        self._waker.forget(self._watch_id)
