"""Tools: what a model may call, how it is held to that, and the loop that calls for it."""

from __future__ import annotations

from llmlocal._chat._tools._calling import Caller, OnCall, OnError, OnResult
from llmlocal._chat._tools._grammar import Answer, tool_grammar
from llmlocal._chat._tools._tool import Tool, ToolChoice, ToolLike, as_tools, tool_dicts
from llmlocal._chat._tools._use import ToolUse, tool_use

__all__ = [
    "Answer",
    "Caller",
    "OnCall",
    "OnError",
    "OnResult",
    "Tool",
    "ToolChoice",
    "ToolLike",
    "ToolUse",
    "as_tools",
    "tool_dicts",
    "tool_grammar",
    "tool_use",
]
