"""Chats: a conversation as a value, its answers, and their streams."""

from __future__ import annotations

from llmlocal._chat._many import answer_all, are_conversations
from llmlocal._chat._model import (
    ChatModel,
    as_messages,
    find_template,
    has_template,
    render,
)
from llmlocal._chat._options import (
    AnswerOptions,
    ChatOptions,
    ConversationOptions,
    RenderOptions,
    RunOptions,
)
from llmlocal._chat._output import CallPart, ToolCall
from llmlocal._chat._overflow import Overflow
from llmlocal._chat._reply import ChatReply
from llmlocal._chat._session import ChatSession
from llmlocal._chat._stream import AsyncChatStream, ChatStream

__all__ = [
    "AnswerOptions",
    "AsyncChatStream",
    "CallPart",
    "ChatModel",
    "ChatOptions",
    "ChatReply",
    "ChatSession",
    "ChatStream",
    "ConversationOptions",
    "Overflow",
    "RenderOptions",
    "RunOptions",
    "ToolCall",
    "answer_all",
    "are_conversations",
    "as_messages",
    "find_template",
    "has_template",
    "render",
]
