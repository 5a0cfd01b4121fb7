"""How tools are used in one turn: who may be called, in which format, and what the template gets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from llmlocal._chat._output import ToolCall, ToolFormat, find_formats, shows_results
from llmlocal._chat._tools._tool import Tool, ToolChoice, chosen, is_some, tool_dicts
from llmlocal._quote import quote
from llmlocal._templates import ChatTemplate, Message, checked_messages, own_text
from llmlocal.errors import ParameterError, TemplateError

__all__ = ["ToolUse", "tool_use"]

_MANUAL = """\
# Tools

You may call functions. These are their signatures, one JSON object a line:
<tools>
{tools}
</tools>

To call a function, write exactly this, with its name and its arguments:
{example}

The result comes in the next message. When no function is needed, just answer."""


@dataclass(frozen=True)
class ToolUse:
    """How tools are used in one turn.

    Attributes:
        tools: All that the model is told of.
        allowed: Those that it may call now.
        mode: "auto", "none" or "required".
        is_parallel: Whether it may call several at once.
        formats: How calls are written.
    """

    tools: tuple[Tool, ...] = ()
    allowed: tuple[Tool, ...] = ()
    mode: str = "none"
    is_parallel: bool = True
    formats: tuple[ToolFormat, ...] = ()

    @property
    def looks_for_calls(self) -> bool:
        """Whether there may be calls in the answer."""
        return self.mode != "none"

    @property
    def given(self) -> list[dict[str, Any]] | None:
        """What the template gets as ``tools``."""
        return tool_dicts(self.tools) if self.formats and self.formats[0].takes_tools else None

    def is_text(self, tool: str, argument: str) -> bool:
        """Whether an argument is a string, whatever its value."""
        return any(each.name == tool and each.is_text(argument) for each in self.tools)

    def adapted(self, messages: Sequence[Message], template: ChatTemplate) -> list[Message]:
        """The messages as the template can show them, with a manual where it has none."""
        found = list(messages)
        if not self.formats:
            return found
        form = self.formats[0]
        if not form.is_native:
            found = [_with_calls_written(message, form) for message in found]
        if not (form.is_native or form.takes_tools) or not shows_results(template):
            found = _with_results_told(found)
        return found if form.takes_tools or not self.tools else self._with_manual(found)

    def _with_manual(self, messages: list[Message]) -> list[Message]:
        arguments = {"argument": "value"}
        call = ToolCall("call00001", "function_name", json.dumps(arguments))
        listed = [json.dumps(tool["function"]) for tool in tool_dicts(self.tools) or []]
        manual = _MANUAL.format(tools="\n".join(listed), example=self.formats[0].write([call]))
        if messages and messages[0].get("role") == "system":
            text = _text_of(messages[0])
            return [{**messages[0], "content": f"{text}\n\n{manual}"}, *messages[1:]]
        return [{"role": "system", "content": manual}, *messages]


def tool_use(
    tools: Sequence[Tool],
    choice: ToolChoice,
    *,
    is_parallel: bool | None,
    template: ChatTemplate,
    messages: Sequence[Message] = (),
) -> ToolUse:
    """How these tools are used with this template, in a conversation.

    Raises:
        ParameterError: There is no such choice.
        TemplateError: It is not known how this template's model calls tools.
    """
    mode, allowed = chosen(choice, tools)
    if not isinstance(cast("object", is_parallel), bool | None):
        raise ParameterError(
            f"parallel_tool_calls must be True, False or None, got {quote(is_parallel)}"
        )
    if tools:
        formats = find_formats(template)
        if is_parallel is None:
            is_parallel = formats[0].is_trained
        is_named = choice not in ("auto", "none", "required") and not is_some(choice)
        return ToolUse(tuple(tools), allowed, mode, is_parallel and not is_named, formats)
    checked_messages(messages)
    # Calls of earlier turns are shown also when nothing may be called any more.
    if any(message.get("tool_calls") or message.get("role") == "tool" for message in messages):
        try:
            return ToolUse(formats=find_formats(template))
        except TemplateError:
            return ToolUse()
    return ToolUse()


def _calls_of(message: Message) -> list[ToolCall]:
    """The calls of a message; those without a name or arguments are left out."""
    found: list[ToolCall] = []
    for call in message.get("tool_calls") or ():
        function = call.get("function", call)
        arguments = function.get("arguments", {})
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        found.append(ToolCall(str(call.get("id", "")), str(function.get("name")), text or "{}"))
    return found


def _text_of(message: Message) -> str:
    content = message.get("content") or ""
    return (
        content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
    )


def _with_calls_written(message: Message, form: ToolFormat) -> Message:
    """An assistant's message with its calls in the content."""
    calls = _calls_of(message) if message.get("role") == "assistant" else []
    if not calls:
        return message
    content = _text_of(message)
    segments = [(f"{content}\n" if content else "", False), *form.segments(calls)]
    rest = {key: value for key, value in message.items() if key != "tool_calls"}
    return {**rest, "content": own_text(segments)}


def _with_results_told(messages: Sequence[Message]) -> list[Message]:
    """The results of calls as something that the user says, those of one turn together."""
    found: list[Message] = []
    is_result = False
    for message in messages:
        if message.get("role") != "tool":
            found.append(message)
            is_result = False
            continue
        content = message.get("content")
        text = content if isinstance(content, str) else json.dumps(content)
        told = f"<tool_response>\n{text}\n</tool_response>"
        if is_result:
            told = f"{found.pop()['content']}\n{told}"
        found.append({"role": "user", "content": told})
        is_result = True
    return found
