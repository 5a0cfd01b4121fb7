"""Which template and which system text a chat session begins with.  Pure."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from llmlocal.gpt4all._formats import TemplateKind, template_kind

__all__ = ["Choice", "SystemText", "choose", "one_of"]

SystemText = str | Literal[False] | None
"""A text; empty or None for the model's own; False for none."""


@dataclass(frozen=True)
class Choice:
    """What a session begins with."""

    kind: TemplateKind
    template: str
    system: str


def one_of(**given: Any) -> Any:
    """The one argument that was given, or None.

    Raises:
        TypeError: More than one was given: they are names of the same thing.
    """
    named = {name: value for name, value in given.items() if value is not None}
    if len(named) > 1:
        raise TypeError(
            f"chat_session() got {' and '.join(named)}, which mean the same; give one of them"
        )
    return next(iter(named.values()), None)


def choose(
    config: Mapping[str, Any],
    system: SystemText,
    template: str | None,
    kind: TemplateKind | None,
    *,
    is_hooked: bool,
) -> Choice:
    """What to begin with.

    Args:
        config: The model's configuration.
        system: What was asked for.
        template: What was asked for; None for the model's own.
        kind: The kind of ``template`` if its name told; None if its text must.
        is_hooked: Whether a subclass formats the turns itself.

    Raises:
        ValueError: The template is of no kind.
        TypeError: The system text is neither text nor False.
    """
    if is_hooked and kind != "jinja":
        warnings.warn(
            "formatting the turns in _format_chat_prompt_template is deprecated;"
            " pass a template to chat_session()",
            DeprecationWarning,
            stacklevel=5,
        )
        return Choice(
            "format", template or config["promptTemplate"], _system(system, config, "systemPrompt")
        )
    if template is not None:
        kind = kind or template_kind(template)
    elif config.get("chatTemplate"):
        kind, template = "jinja", config["chatTemplate"]
    else:
        warnings.warn(
            "the model has no chat template, and gpt4all's old default is used;"
            " pass a template to chat_session()",
            DeprecationWarning,
            stacklevel=5,
        )
        kind, template = "format", config["promptTemplate"]
    key = "systemMessage" if kind == "jinja" else "systemPrompt"
    return Choice(kind, template, _system(system, config, key))


def _system(system: SystemText, config: Mapping[str, Any], key: str) -> str:
    if system is False:
        return ""
    if system is not None and not isinstance(system, str):
        raise TypeError(
            f"the system text must be a str, False or None, not {type(system).__name__}"
        )
    return system or config.get(key) or ""
