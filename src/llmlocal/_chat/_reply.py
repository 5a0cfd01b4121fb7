"""What a chat gives back: the answer, with what the model wrote before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from llmlocal._chat._output import ToolCall
from llmlocal._generation._completion import Completion

__all__ = ["ChatReply"]


class ChatReply(Completion):
    """An answer: a ``str``, and a :class:`llmlocal.Completion` with more facts.

    Its ``finish_reason`` is "tool_calls" where the model ended by calling tools.

    Attributes:
        reasoning: What the model wrote for itself before it answered; empty for most models.
        tool_calls: What the model wants to have called; empty where it calls nothing.
        dropped_messages: How many messages of the conversation did not fit in the context and were
            left out of the prompt; always 0 with ``overflow="error"``.
    """

    reasoning: str
    tool_calls: tuple[ToolCall, ...]
    dropped_messages: int

    def __new__(
        cls,
        text: str = "",
        *,
        reasoning: str = "",
        tool_calls: Sequence[ToolCall] = (),
        dropped_messages: int = 0,
        **facts: Any,
    ) -> ChatReply:
        self = cast("ChatReply", super().__new__(cls, text, **facts))
        self.reasoning = reasoning
        self.tool_calls = tuple(tool_calls)
        self.dropped_messages = dropped_messages
        return self

    @property
    def is_partial(self) -> bool:
        """Whether it was cut: by ``max_tokens``, the end of the context, a time limit or a stop."""
        return self.finish_reason not in ("stop", "tool_calls")

    @property
    def message(self) -> dict[str, Any]:
        """The answer as a message of a conversation.

        It has ``reasoning_content`` when the model reasoned, ``tool_calls`` (in OpenAI's form) when
        it calls tools, and ``partial`` (the finish reason) when the answer was cut.
        """
        message: dict[str, Any] = {"role": "assistant", "content": str.__str__(self)}
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        if self.tool_calls:
            message["tool_calls"] = [call.message for call in self.tool_calls]
        if self.is_partial:
            message["partial"] = self.finish_reason
        return message
