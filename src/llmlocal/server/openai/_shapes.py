"""Replies as OpenAI's objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llmlocal import __version__

if TYPE_CHECKING:
    from llmlocal import ChatReply, Completion

__all__ = ["DONE", "FINGERPRINT", "HARMLESS", "finish_reason", "message_of", "usage_of"]

DONE = b"data: [DONE]\n\n"
"""What ends a stream.  It is sent with the last event, as each one sent is work for both ends."""

FINGERPRINT = f"llmlocal-{__version__}"

# What clients send that changes nothing here.
HARMLESS = frozenset(
    {
        "cache_prompt",
        "metadata",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
        "verbosity",
    }
)


def finish_reason(reply: Completion) -> str:
    """Why it ended, in OpenAI's words: a time limit counts as a limit of length."""
    return reply.finish_reason if reply.finish_reason in ("stop", "tool_calls") else "length"


def message_of(reply: ChatReply) -> dict[str, Any]:
    """An answer as a message."""
    content = None if reply.tool_calls and not reply else str(reply)
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.tool_calls:
        message["tool_calls"] = [call.message for call in reply.tool_calls]
    return message


def usage_of(replies: Sequence[Completion], prompts: int = 1) -> dict[str, Any]:
    """The tokens of a request: each prompt counts once, however many answers it has."""
    if not replies:
        return {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    firsts = replies[:: max(len(replies) // prompts, 1)]
    prompt = sum(reply.usage.prompt_tokens for reply in firsts)
    completion = sum(reply.usage.completion_tokens for reply in replies)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {
            "cached_tokens": sum(reply.usage.cached_tokens for reply in firsts)
        },
        "completion_tokens_details": {
            "reasoning_tokens": sum(reply.usage.reasoning_tokens for reply in replies)
        },
    }
