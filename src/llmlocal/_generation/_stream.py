"""Waiting for an answer in a thread: all of it at once, or piece by piece.

The engine works ahead of its reader.  It is told to stop when the answer is no longer wanted: when
its stream is closed or collected, or at an exception such as Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from llmlocal._generation._completion import Completion
from llmlocal._generation._logprobs import TokenLogprob
from llmlocal._generation._reply import Reply
from llmlocal._generation._under_way import UnderWay

__all__ = ["SLICE_MS", "Stream", "wait_for", "wait_for_all"]

# Python runs signal handlers, and so sees Ctrl-C, between two calls into the extension.
SLICE_MS = 100


def wait_for(reply: Reply) -> Completion:
    """Wait for an answer.  Whatever is raised meanwhile stops it."""
    until_end = not reply.wants_news
    try:
        while not reply.is_complete:
            reply.read(SLICE_MS, until_end=until_end)
        return reply.completion()
    except BaseException:
        reply.cancel()
        raise


def wait_for_all(replies: Sequence[Reply], tell: Callable[[int], None]) -> list[Completion]:
    """Wait for all of the answers.  If one raises, or ``tell`` does, the others are cancelled.

    Args:
        replies: In the order in which the answers are wanted.
        tell: Told how many are there.
    """
    under_way = UnderWay()
    n_ended = 0
    try:
        for place, reply in enumerate(replies):
            under_way.add(place, reply)
        while under_way:
            for _, reply in under_way.ended():
                reply.completion()  # Raises what ended it, if that was an error.
                n_ended += 1
                tell(n_ended)
        return [reply.completion() for reply in replies]
    except BaseException:
        under_way.cancel()
        raise


class Stream:
    """Text that arrives while it is generated: an iterator over its pieces.

    The generation stops with the ``with`` block, with :meth:`cancel` or :meth:`close`, and when
    nothing refers to the stream any more.  Joined, the pieces are what
    :meth:`llmlocal.LLM.generate` would have returned.

    Example:
        >>> with llm.generate("Once upon a time", streaming=True, max_tokens=20) as stream:
        ...     for piece in stream:
        ...         print(piece, end="", flush=True)
        >>> stream.result.finish_reason
        'length'
    """

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._at = 0  # The next piece's place in the reply.
        self._is_closed = False

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> str:
        while not self._is_closed:
            place = self._reply.next_piece(self._at)
            if place is not None:
                text = self._reply.piece(place)
                self._at = place + 1  # Last: no signal comes between this and the return.
                return text
            if self._reply.is_complete:
                self._reply.completion()  # Raises what ended it, if that was an error.
                break
            self._take()
        raise StopIteration

    def _take(self) -> None:
        try:
            self._reply.read(SLICE_MS)
        except BaseException:
            self.cancel()
            raise

    @property
    def text(self) -> str:
        """The text received so far."""
        return self._reply.text

    @property
    def logprobs(self) -> tuple[TokenLogprob, ...] | None:
        """How likely the tokens received so far are; None unless ``logprobs=`` asked for it."""
        return self._reply.logprobs

    @property
    def partial(self) -> Any:
        """What the text received so far stands for, where it has to obey a constraint.

        With ``schema`` the JSON value as far as it has come, strings, lists and objects closed (no
        instance of a type: it may not be complete enough for that); None until it begins.
        """
        return self._reply.partial

    @property
    def result(self) -> Completion:
        """The whole answer with its facts; waits for the end.

        Raises:
            EngineError: The generation failed, or the model was closed before it was done.
        """
        while not self._reply.is_complete:
            self._take()
        return self._reply.completion()

    def cancel(self) -> None:
        """Stop the generation; what has been generated can still be read.  Any thread may call it."""
        self._reply.cancel()

    def close(self) -> None:
        """Stop the generation and drop what was not read yet.  May be called twice."""
        self._is_closed = True
        self.cancel()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
