"""Many conversations at once: all are composed first, so that they can be put in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from llmlocal._chat._reply import ChatReply
from llmlocal._generation._completion import Completion
from llmlocal._generation._options import Options, RequestOptions

if TYPE_CHECKING:
    from llmlocal._chat._session import ChatSession
    from llmlocal._generation._reply import TokenCallback

__all__ = ["answer_all", "are_conversations"]

Answers = Callable[
    [Sequence[tuple[Sequence[int], Options, "TokenCallback | None"]]], Sequence[Completion]
]
"""Gives the answers to prompts, each with its options and its callback, in their order."""


def are_conversations(messages: object) -> bool:
    """Whether it is a list of questions or conversations, and not one of them.

    What is neither is for :func:`llmlocal._chat.as_messages` to refuse.
    """
    if isinstance(messages, str) or not isinstance(messages, Sequence) or not messages:
        return False
    first = messages[0]
    return isinstance(first, Sequence) and not isinstance(first, (bytes, bytearray, Mapping))


def answer_all(sessions: Sequence[ChatSession], n: int, answers: Answers) -> list[ChatReply]:
    """Several answers to what was said last in each session; the sessions stay as they are.

    Args:
        sessions: Each with a conversation that waits for an answer.
        n: How many to each, which come in a row; with a ``seed`` the first one has it, the next
            one the next.
        answers: Asked once, for all of them.
    """
    begun = []
    for session in sessions:
        seeds = RequestOptions({}, seed=session.options.get("seed")).seeds(1, n)
        begun += [session.fork().begin_turn(seed=seed) for seed in seeds]
    asked = [(sent.tokens, request, turn.callback(None)) for turn, sent, request in begun]
    replies = []
    for (turn, _, _), completion in zip(begun, answers(asked), strict=True):
        turn.feed_end(completion)
        replies.append(turn.finish(completion))
    return replies
