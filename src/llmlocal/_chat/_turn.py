"""One turn of a conversation: from the text as it comes to the reply, and to the history.

A turn has the session to itself from its beginning to its end, however it ends.  The history
changes in one step at the end, or not at all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from llmlocal._chat._reply import ChatReply
from llmlocal._templates import Part, ReasoningSplitter
from llmlocal._types import Completion
from llmlocal.errors import RequestError

__all__ = ["Busy", "Prompt", "Turn"]


class Busy:
    """Says whether a session is at work: two callers can't both have it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def take(self) -> None:
        """Have the session.

        Raises:
            RequestError: Somebody has it.
        """
        if not self._lock.acquire(blocking=False):
            raise RequestError(
                "this chat session is answering already; wait for that answer, close its stream,"
                " or go on in a fork() of the session"
            )

    def release(self) -> None:
        """Give the session back."""
        self._lock.release()

    def __enter__(self) -> None:
        self.take()

    def __exit__(self, *_: object) -> None:
        self.release()


@dataclass(frozen=True)
class Prompt:
    """What a turn sends to the model.

    Attributes:
        text: The prompt.
        tokens: The same, encoded.
        splitter: For the text that comes back.
        dropped_messages: Messages of the conversation that are not in it.
    """

    text: str
    tokens: list[int]
    splitter: ReasoningSplitter
    dropped_messages: int


class Turn:
    """A turn under way.  Making one takes the session.

    Args:
        busy: Whose session it is; given back at the end.
        record: Called with the reply at the end; not for a turn that failed.

    Raises:
        RequestError: Another turn is under way.
    """

    def __init__(self, busy: Busy, record: Callable[[ChatReply], None]) -> None:
        busy.take()
        self._busy = busy
        self._record = record
        self._splitter = ReasoningSplitter(None)
        self._dropped_messages = 0
        self._parts: list[Part] = []
        self._n_fed = 0
        self.is_over = False

    def start(self, prompt: Prompt) -> None:
        """The prompt is about to be sent."""
        self._splitter = prompt.splitter
        self._dropped_messages = prompt.dropped_messages

    @property
    def answer(self) -> str:
        """The answer so far."""
        return "".join(part.text for part in self._parts if part.kind == "answer")

    @property
    def reasoning(self) -> str:
        """The reasoning so far."""
        return "".join(part.text for part in self._parts if part.kind == "reasoning")

    def feed(self, text: str) -> list[Part]:
        """Take text as it comes; return what is certain of it."""
        self._n_fed += len(text)
        parts = self._splitter.feed(text)
        self._parts += parts
        return parts

    def feed_end(self, completion: Completion) -> list[Part]:
        """No more text comes; return what was held back.

        What a callback refused is in ``completion`` but did not come: it belongs to the reply, and
        is not passed on.
        """
        refused = completion[self._n_fed :]
        self.feed(refused)
        parts = self._splitter.flush()
        self._parts += parts
        return [] if refused else parts

    def reply(self, completion: Completion) -> ChatReply:
        """The text that came, with the facts of ``completion``."""
        return ChatReply(
            self.answer,
            reasoning=self.reasoning,
            dropped_messages=self._dropped_messages,
            **completion.__dict__,
        )

    def finish(self, completion: Completion) -> ChatReply:
        """The end: what came goes into the history."""
        reply = self.reply(completion)
        if not self.is_over:
            self._record(reply)
            self.fail()
        return reply

    def cut(self) -> None:
        """End before the end: what came so far goes into the history, marked."""
        if not self.is_over:
            self._parts += self._splitter.flush()
            self.finish(Completion(finish_reason="cancelled"))

    def fail(self) -> None:
        """End, and change nothing."""
        if not self.is_over:
            self.is_over = True
            self._busy.release()
