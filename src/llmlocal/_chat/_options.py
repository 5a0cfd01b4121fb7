"""The options of a chat beyond those of a generation, named once for all the ways to ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from llmlocal._chat._output import ToolCall
from llmlocal._chat._overflow import Overflow
from llmlocal._chat._tools import ToolChoice, ToolLike
from llmlocal._generation._options import Options
from llmlocal._templates import ChatTemplate, Part

__all__ = ["AnswerOptions", "ChatOptions", "ConversationOptions", "RenderOptions", "RunOptions"]


class AnswerOptions(Options, total=False):
    """What :meth:`llmlocal.ChatSession.generate` takes for one answer."""

    tools: Sequence[ToolLike] | None
    """What the model may call: functions, pydantic models, OpenAI's dicts, or an MCP listing."""
    tool_choice: ToolChoice
    """``"auto"`` (as the model likes), ``"none"``, ``"required"``, or a tool's name.  Default "auto"."""
    parallel_tool_calls: bool | None
    """Whether one answer may call several tools.  Default None: if its template knows tools."""


class RunOptions(AnswerOptions, total=False):
    """What :meth:`llmlocal.ChatSession.run` takes."""

    max_rounds: int
    """How often the model may call tools, >= 1; after that it has to answer.  Default 8."""
    on_call: Callable[[ToolCall], object] | None
    """Told of each call before it is made; returning False refuses it, which the model is told."""
    on_result: Callable[[ToolCall, str], object] | None
    """Told of each call, and of what the model is told of it."""
    on_part: Callable[[Part], object] | None
    """Told of each piece of each answer, as :meth:`llmlocal.ChatStream.parts` gives it."""
    on_error: Literal["tell", "raise"]
    """What becomes of an exception of a function: the model is told, or it is raised.
    Default "tell"."""
    execute: Callable[[ToolCall], Any] | None
    """Makes the calls of tools that are only described, such as those of an MCP server."""
    parallel: bool
    """Whether the calls of one answer are made side by side, each in a thread.  Default False."""


class ConversationOptions(AnswerOptions, total=False):
    """What :class:`llmlocal.ChatSession` takes besides messages, system and template."""

    documents: Sequence[Mapping[str, Any]] | None
    """Texts to answer from, for templates that take them."""
    variables: Mapping[str, Any] | None
    """More variables of the template, such as ``{"enable_thinking": False}``."""
    overflow: Overflow
    """``"error"`` or ``"drop_oldest"``: what to do when the context is full.  Default "error"."""


class ChatOptions(ConversationOptions, total=False):
    """What :meth:`llmlocal.LLM.chat` takes besides the messages."""

    system: str | None
    """An instruction that comes first."""
    template: str | ChatTemplate | None
    """A chat template, its text, or its name in the model's file; None = the file's own."""


class RenderOptions(TypedDict, total=False):
    """What :meth:`llmlocal.LLM.render` takes besides the messages."""

    template: str | ChatTemplate | None
    """A chat template, its text, or its name in the model's file; None = the file's own."""
    add_generation_prompt: bool
    """Whether the assistant's turn is opened at the end.  Default True."""
    tools: Sequence[ToolLike] | None
    """What the model may call: functions, pydantic models, OpenAI's dicts, or an MCP listing."""
    documents: Sequence[Mapping[str, Any]] | None
    """Texts to answer from, for templates that take them."""
    variables: Mapping[str, Any] | None
    """More variables of the template."""
