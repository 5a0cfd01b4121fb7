"""The messages of a conversation: what a turn brings, and what its answer does to them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from llmlocal._chat._model import as_messages
from llmlocal._chat._reply import ChatReply
from llmlocal._templates import Message, checked_messages

__all__ = ["added_messages", "copied", "record"]


def added_messages(prompt: str | Message | Sequence[Message] | None) -> list[dict[str, Any]]:
    """What a turn adds to the history, whichever way it is given; nothing for None."""
    if prompt is None:
        return []
    return copied(as_messages([prompt] if isinstance(prompt, Mapping) else prompt))


def copied(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Copies of the messages.

    Raises:
        ParameterError: They are no messages.
    """
    checked_messages(messages)
    return [copy.deepcopy(dict(message)) for message in messages]


def record(history: list[dict[str, Any]], added: list[dict[str, Any]], reply: ChatReply) -> None:
    """Take a turn into the history; one that was cut before its first word leaves no trace."""
    if reply.is_partial and not (reply or reply.reasoning or reply.tool_calls):
        return
    if not added and history[-1]["role"] == "assistant":
        history[-1] = _joined(history[-1], reply.message)
    else:
        history += [*added, reply.message]


def _joined(begun: dict[str, Any], rest: dict[str, Any]) -> dict[str, Any]:
    """A message that was continued."""
    joined = {key: value for key, value in begun.items() if key != "partial"} | rest
    for key in ("content", "reasoning_content"):
        if begun.get(key):
            joined[key] = begun[key] + (rest.get(key) or "")
    return joined
