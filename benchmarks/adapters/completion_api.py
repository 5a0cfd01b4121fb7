"""What llama-server and its Python wrapping share: requests and replies of its completion API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from benchmarks.adapters.adapter import Sampling

__all__ = ["Conversations", "chat_request", "completion_request", "delta_of", "text_of"]


def completion_request(prompt: str, max_tokens: int, sampling: Sampling) -> dict[str, Any]:
    """The body of a completion request."""
    return {"prompt": prompt, "n_predict": max_tokens, **_renamed(sampling)}


def chat_request(messages: list[dict[str, str]], max_tokens: int) -> dict[str, Any]:
    """The body of a chat request."""
    return {"messages": list(messages), "max_tokens": max_tokens, "temperature": 0}


def text_of(reply: dict[str, Any]) -> str:
    """The text in a completion's reply, or in a part of it."""
    if "choices" in reply:
        return str(reply["choices"][0].get("text") or "")
    return str(reply.get("content") or "")


def delta_of(reply: dict[str, Any]) -> str:
    """The text in a part of a chat's reply; empty in the first and the last."""
    choices = reply.get("choices") or [{}]
    return str(choices[0].get("delta", {}).get("content") or "")


class Conversations:
    """The messages of each conversation, which this API wants to be told again each time."""

    def __init__(self) -> None:
        self._messages: dict[str, list[dict[str, str]]] = {}

    def ask(self, conversation: str, text: str) -> list[dict[str, str]]:
        """Add what the user says; return all messages."""
        messages = self._messages.setdefault(conversation, [])
        messages.append({"role": "user", "content": text})
        return messages

    def listen(self, conversation: str, pieces: Iterable[str]) -> Iterator[str]:
        """Pass an answer's pieces on, and keep them as a message."""
        answer = ""
        for piece in pieces:
            if piece:
                answer += piece
                yield piece
        self._messages[conversation].append({"role": "assistant", "content": answer})


def _renamed(sampling: Sampling) -> dict[str, Any]:
    values: dict[str, Any] = dict(sampling)
    values["temperature"] = values.pop("temp", 0.7)
    return values
