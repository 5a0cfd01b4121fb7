"""One turn of a conversation: from the text as it comes to the reply, and to the history.

A turn has the session to itself from its beginning to its end, however it ends.  The history
changes in one step at the end, or not at all.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from llmlocal._chat._output import OutputParser, ToolCall
from llmlocal._chat._reply import ChatReply
from llmlocal._generation._completion import Completion
from llmlocal._generation._constraint import Constraint, Unread
from llmlocal._templates import Part, ReasoningSplitter
from llmlocal.errors import RequestError

if TYPE_CHECKING:
    from llmlocal._generation._reasoning import Reasoning
    from llmlocal._generation._reply import TokenCallback

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
        output: For the text that comes back.
        dropped_messages: Messages of the conversation that are not in it.
        control_texts: Texts of the control tokens that set reasoning and calls apart, by id:
            generated text has no control tokens in it, and ``output`` needs these.
        reasoning: Where the answer begins, for the engine; None where it begins at once.
        constraint: What the answer obeys.
        calls: What an answer that may call tools is held to.
        count_reasoning: How many of an answer's tokens are its reasoning, if it has one.
    """

    text: str
    tokens: list[int]
    output: OutputParser
    dropped_messages: int
    control_texts: Mapping[int, str] = field(default_factory=dict)
    reasoning: Reasoning | None = None
    constraint: Constraint | None = None
    calls: Constraint | None = None
    count_reasoning: Callable[[Sequence[int]], int] = len


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
        self._output = OutputParser(ReasoningSplitter(None))
        self._dropped_messages = 0
        self._constraint: Constraint | None = None
        self._has_tools = False
        self._count_reasoning: Callable[[Sequence[int]], int] = len
        self._control_texts: Mapping[int, str] = {}
        self._heard: deque[str] = deque()
        self._parts: list[Part] = []
        self._n_fed = 0
        self.is_over = False

    def start(self, prompt: Prompt) -> None:
        """The prompt is about to be sent."""
        self._output = prompt.output
        self._dropped_messages = prompt.dropped_messages
        self._constraint = prompt.constraint
        self._has_tools = prompt.calls is not None
        self._count_reasoning = prompt.count_reasoning
        self._control_texts = prompt.control_texts

    def callback(self, told: TokenCallback | None) -> TokenCallback | None:
        """The callback to give to the model, where the caller's is ``told``."""
        if not self._control_texts:
            return told

        def hear(token: int, text: str) -> object:
            self._heard.append(text or self._control_texts.get(token, ""))
            return told is None or told(token, text)

        return hear

    @property
    def answer(self) -> str:
        """The answer so far."""
        return "".join(part.text for part in self._parts if part.kind == "answer")

    @property
    def partial(self) -> Any:
        """What the answer so far stands for, where it has to obey a constraint."""
        return self._constraint.read_so_far(self.answer) if self._constraint else None

    @property
    def reasoning(self) -> str:
        """The reasoning so far."""
        return "".join(part.text for part in self._parts if part.kind == "reasoning")

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls of tools that are complete."""
        return tuple(self._output.calls)

    def feed(self, text: str) -> list[Part]:
        """Take text as it comes; return what is certain of it."""
        self._n_fed += len(text)
        return self._split(self._take_heard() if self._control_texts else text)

    def feed_end(self, completion: Completion) -> list[Part]:
        """No more text comes; return what was held back.

        What a callback refused is in ``completion`` but did not come: it belongs to the reply, and
        is not passed on.
        """
        refused = self._take_heard() if self._control_texts else completion[self._n_fed :]
        self._split(refused)
        parts = self._output.flush()
        self._parts += parts
        return [] if refused else parts

    def _split(self, text: str) -> list[Part]:
        parts = self._output.feed(text)
        self._parts += parts
        return parts

    def _take_heard(self) -> str:
        heard = "".join(self._heard)
        self._heard.clear()
        return heard

    def reply(self, completion: Completion) -> ChatReply:
        """The text that came, with the facts of ``completion``.

        Raises:
            SchemaError: The answer breaks what could only be checked, or its type refuses it.
        """
        facts = dict(completion.__dict__)
        if self._has_tools:  # The text with its calls is no value.
            is_value = not self.tool_calls and completion.finish_reason == "stop"
            constraint = self._constraint if is_value else None
            facts["parsed"] = Unread(constraint) if constraint else None
        if self.tool_calls and completion.finish_reason == "stop":
            facts["finish_reason"] = "tool_calls"
        if self.reasoning:
            count = self._count_reasoning(completion.tokens)
            facts["usage"] = replace(completion.usage, reasoning_tokens=count)
        reply = ChatReply(
            self.answer,
            reasoning=self.reasoning,
            tool_calls=self.tool_calls,
            dropped_messages=self._dropped_messages,
            **facts,
        )
        if isinstance(reply.parsed, Unread):
            reply.parsed = reply.parsed.read(reply)
        return reply

    def finish(self, completion: Completion) -> ChatReply:
        """The end: what came goes into the history."""
        try:
            reply = self.reply(completion)
        except BaseException:
            self.fail()
            raise
        if not self.is_over:
            self._record(reply)
            self.fail()
        return reply

    def cut(self) -> None:
        """End before the end: what came so far goes into the history, marked."""
        if not self.is_over:
            self._parts += self._output.flush()
            self.finish(Completion(finish_reason="cancelled"))

    def fail(self) -> None:
        """End, and change nothing."""
        if not self.is_over:
            self.is_over = True
            self._busy.release()
