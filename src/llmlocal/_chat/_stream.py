"""An answer that arrives piece by piece, in a thread or in an event loop."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Any

from llmlocal._chat._model import AsyncTextStream, TextStream
from llmlocal._chat._output import ToolCall
from llmlocal._chat._reply import ChatReply
from llmlocal._chat._turn import Prompt, Turn
from llmlocal._generation._completion import Completion
from llmlocal._generation._logprobs import TokenLogprob
from llmlocal._generation._options import Options
from llmlocal._in_thread import in_thread
from llmlocal._templates import Part
from llmlocal.errors import RequestError

__all__ = ["AsyncChatStream", "ChatStream"]


class ChatStream:
    """The pieces of an answer, while the model writes it: an iterator and a context manager.

    At the end the answer is in the session's history.  Leaving the loop, or the ``with`` block,
    stops the model; what has arrived by then goes into the history, marked as partial.

    Example:
        >>> with session.generate("Tell me a story.", streaming=True) as stream:
        ...     for piece in stream:
        ...         print(piece, end="", flush=True)
        >>> stream.result.usage.completion_tokens
    """

    def __init__(self, stream: TextStream, turn: Turn) -> None:
        self._stream = stream
        self._turn = turn
        self._ready: deque[Part] = deque()
        self._result: ChatReply | None = None

    def __iter__(self) -> ChatStream:
        return self

    def __next__(self) -> str:
        while self._fill():
            # Not popleft(): a signal may come after a call, and its exception would take the part.
            part = self._ready[0]
            del self._ready[0]
            if part.kind == "answer":
                return part.text
        raise StopIteration

    def parts(self) -> Iterator[Part]:
        """All that the model writes, as ``(kind, text)``: "reasoning" or "answer" and a piece of it.

        A call of a tool is a "call" with the tool's name, and then "arguments" with pieces of JSON
        text; these are :class:`llmlocal.CallPart`, with ``id`` and ``number`` of the call.
        """
        while self._fill():
            part = self._ready[0]
            del self._ready[0]
            yield part

    def _fill(self) -> bool:
        """Wait until there is a part.  False: there will be none."""
        while not self._ready:
            if not self._take():
                return False
        return True

    def _take(self) -> bool:
        """Wait for the next piece.  False: there is none."""
        if self._turn.is_over:
            return False
        try:
            text = next(self._stream, None)
            if text is not None:
                self._ready += self._turn.feed(text)
            else:
                completion = self._stream.result
                self._ready += self._turn.feed_end(completion)
                self._result = self._turn.finish(completion)
        except Exception:
            self._stream.cancel()
            self._turn.fail()
            raise
        except BaseException:  # Ctrl-C: what was read so far is worth keeping.
            self.close()
            raise
        return True

    @property
    def text(self) -> str:
        """The answer so far."""
        return self._turn.answer

    @property
    def partial(self) -> Any:
        """What the answer so far stands for: as :attr:`llmlocal.Stream.partial`."""
        return self._turn.partial

    @property
    def reasoning(self) -> str:
        """The reasoning so far."""
        return self._turn.reasoning

    @property
    def logprobs(self) -> tuple[TokenLogprob, ...] | None:
        """How likely the tokens received so far are, those of the reasoning included."""
        return self._stream.logprobs

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls of tools that are complete so far."""
        return self._turn.tool_calls

    @property
    def result(self) -> ChatReply:
        """The whole answer with its facts; waits for the end.

        Raises:
            EngineError: The generation failed.
        """
        while self._take():
            pass
        if self._result is None:  # closed before the end
            self._result = self._turn.reply(_cancelled(self._stream.result))
        return self._result

    def cancel(self) -> None:
        """Stop the model; what it has written can still be read.  Any thread may call it."""
        self._stream.cancel()

    def close(self) -> None:
        """Stop the model, and keep in the history what was read.  May be called twice."""
        self._stream.cancel()
        self._ready.clear()
        self._turn.cut()

    def __enter__(self) -> ChatStream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


class AsyncChatStream:
    """The pieces of an answer, in an ``async for`` loop; see :class:`ChatStream`.

    The turn begins with the first piece that is asked for.  The cancellation of the task stops the
    model like leaving the loop does.

    Example:
        >>> async def tell() -> None:
        ...     async for piece in session.astream("Tell me a story."):
        ...         print(piece, end="", flush=True)
    """

    def __init__(
        self,
        begin: Callable[[], Turn],
        prepare: Callable[[], tuple[Options, Prompt]],
        start: Callable[[Turn, list[int], Options], AsyncTextStream],
    ) -> None:
        self._begin = begin
        self._prepare = prepare
        self._start = start
        self._turn: Turn | None = None
        self._stream: AsyncTextStream | None = None
        self._ready: deque[Part] = deque()
        self._result: ChatReply | None = None
        self._is_closed = False
        self._frame_s: float | None = None

    def in_frames(self, seconds: float) -> AsyncChatStream:
        """Hand over the tokens of a fast answer together: as :meth:`llmlocal.AsyncStream.in_frames`.

        To be called before the first piece is asked for.
        """
        self._frame_s = seconds
        return self

    def __aiter__(self) -> AsyncChatStream:
        return self

    async def __anext__(self) -> str:
        # No generator: the loop's hooks would make a task for each that is abandoned.
        while (part := await self._next_part()) is not None:
            if part.kind == "answer":
                return part.text
        raise StopAsyncIteration

    async def parts(self) -> AsyncIterator[Part]:
        """All that the model writes, as ``(kind, text)``: "reasoning" or "answer" and a piece of it.

        A call of a tool is a "call" with the tool's name, and then "arguments" with pieces of JSON
        text; these are :class:`llmlocal.CallPart`, with ``id`` and ``number`` of the call.
        """
        while (part := await self._next_part()) is not None:
            yield part

    async def _next_part(self) -> Part | None:
        while not self._ready:
            if not await self._take():
                return None
        return self._ready.popleft()

    async def _take(self) -> bool:
        """Wait for the next piece.  False: there is none."""
        if self._is_closed:
            return False
        try:
            turn, stream = await self._started()
            if turn.is_over:
                return False
            text = await anext(stream, None)
            if text is not None:
                self._ready += turn.feed(text)
            else:
                completion = await stream.result()
                self._ready += turn.feed_end(completion)
                self._result = turn.finish(completion)
        except Exception:
            self.cancel()
            if self._turn is not None:
                self._turn.fail()
            raise
        except BaseException:  # The task is cancelled: what was read so far is worth keeping.
            self._close()
            raise
        return True

    async def _started(self) -> tuple[Turn, AsyncTextStream]:
        if self._turn is None or self._stream is None:
            self._turn = self._begin()
            # Rendering and tokenizing a long conversation takes a while: not in the loop's thread.
            options, prompt = await in_thread(self._prepare)
            self._turn.start(prompt)
            self._stream = self._start(self._turn, prompt.tokens, options)
            if self._frame_s is not None:
                self._stream.in_frames(self._frame_s)
        return self._turn, self._stream

    @property
    def text(self) -> str:
        """The answer so far."""
        return self._turn.answer if self._turn else ""

    @property
    def partial(self) -> Any:
        """What the answer so far stands for: as :attr:`llmlocal.Stream.partial`."""
        return self._turn.partial if self._turn else None

    @property
    def reasoning(self) -> str:
        """The reasoning so far."""
        return self._turn.reasoning if self._turn else ""

    @property
    def logprobs(self) -> tuple[TokenLogprob, ...] | None:
        """How likely the tokens received so far are, those of the reasoning included."""
        return self._stream.logprobs if self._stream else None

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls of tools that are complete so far."""
        return self._turn.tool_calls if self._turn else ()

    async def result(self) -> ChatReply:
        """The whole answer with its facts; waits for the end.

        Raises:
            EngineError: The generation failed.
            RequestError: The stream was closed before it began.
        """
        while await self._take():
            pass
        if self._result is None:  # closed before the end
            if self._turn is None or self._stream is None:
                raise RequestError("the stream was closed before it began")
            self._result = self._turn.reply(_cancelled(await self._stream.result()))
        return self._result

    def cancel(self) -> None:
        """Stop the model; what it has written can still be read."""
        if self._stream is not None:
            self._stream.cancel()

    async def aclose(self) -> None:
        """Stop the model, and keep in the history what was read.  May be called twice."""
        self._close()

    def _close(self) -> None:
        self._is_closed = True
        self.cancel()
        self._ready.clear()
        if self._turn is not None:
            self._turn.cut()

    async def __aenter__(self) -> AsyncChatStream:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        self._close()


def _cancelled(completion: Completion) -> Completion:
    return Completion(completion, **{**completion.__dict__, "finish_reason": "cancelled"})
