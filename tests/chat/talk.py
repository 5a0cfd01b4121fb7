"""Short ways to look at what was said."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from llmlocal._chat import ChatSession

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


def roles(session: ChatSession) -> str:
    return "".join(message["role"][0] for message in session.history)


def said(session: ChatSession) -> list[str]:
    return [message["content"] for message in session.history]
