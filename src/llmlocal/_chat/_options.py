"""The options of a chat beyond those of a generation, named once for all the ways to ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from llmlocal._generation._options import Options

if TYPE_CHECKING:
    from llmlocal._chat._overflow import Overflow
    from llmlocal._templates import ChatTemplate

__all__ = ["ChatOptions", "ConversationOptions", "RenderOptions"]


class ConversationOptions(Options, total=False):
    """What :class:`llmlocal.ChatSession` takes besides messages, system and template."""

    tools: Sequence[Mapping[str, Any]] | None
    """JSON schemas of functions, for templates that describe them to the model."""
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
    tools: Sequence[Mapping[str, Any]] | None
    """JSON schemas of functions, for templates that describe them to the model."""
    documents: Sequence[Mapping[str, Any]] | None
    """Texts to answer from, for templates that take them."""
    variables: Mapping[str, Any] | None
    """More variables of the template."""
