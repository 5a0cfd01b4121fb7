"""Which format a template's model writes its calls in.

Read off the template where it shows calls; from a short list where it describes the tools but hides
how they are called; and for a template that knows nothing of tools a format of our own, which the
system message describes.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

from llmlocal._chat._output._format import Parameters, Slot, ToolFormat
from llmlocal._chat._output._read_format import read_format
from llmlocal._templates import ChatTemplate
from llmlocal.errors import TemplateError

__all__ = ["OWN_FORMAT", "find_formats", "shows_results"]


def _json_call(opening: str, closing: str) -> tuple[str | Slot, ...]:
    return (
        f'{opening}{{"name": "',
        Slot.NAME,
        '", "arguments": ',
        Slot.ARGUMENTS,
        f"}}{closing}",
    )


_HERMES = ToolFormat("", _json_call("<tool_call>\n", "\n</tool_call>"), "\n", "")
OWN_FORMAT = replace(_HERMES, is_native=False, takes_tools=False)
"""What Hermes began and Qwen took up, which most models have seen."""

_PYTHONIC = ToolFormat(
    "<|tool_call_start|>[",
    (Slot.NAME, "(", Slot.ARGUMENTS, ")"),
    ", ",
    "]<|tool_call_end|>",
    Parameters(
        "",
        dict.fromkeys(("string", "number", "boolean", "null", "array", "object"), "="),
        "",
        ", ",
        is_raw=False,
    ),
)
_GEMMA = ToolFormat(
    "",
    ("<|tool_call>call:", Slot.NAME, Slot.ARGUMENTS, "<tool_call|>"),
    "",
    "",
    dialect="gemma",
)
_HARMONY = (
    ToolFormat(
        "",
        (
            "<|channel|>commentary to=functions.",
            Slot.NAME,
            " <|constrain|>json<|message|>",
            Slot.ARGUMENTS,
            "<|call|>",
        ),
        None,
        "",
    ),
    ToolFormat(
        "",
        (
            " to=functions.",
            Slot.NAME,
            "<|channel|>commentary json<|message|>",
            Slot.ARGUMENTS,
            "<|call|>",
        ),
        None,
        "",
    ),
)
# Templates that render calls in a way of their own, by what all of these texts stand in.
_NAMED: tuple[tuple[tuple[str, ...], tuple[ToolFormat, ...]], ...] = (
    (("<|channel|>", "commentary", "functions."), _HARMONY),
    (("<|tool_call>", "<tool_call|>"), (_GEMMA,)),
)
# Templates that describe tools, and leave the calls to whoever renders the content.
_HIDDEN: tuple[tuple[str, ToolFormat], ...] = (
    ("<|tool_list_start|>", _PYTHONIC),  # LFM2
    ("List of tools: [", _PYTHONIC),  # LFM2.5
    ("<|/tool_call|>", ToolFormat("<|tool_call|>[", _json_call("", ""), ", ", "]<|/tool_call|>")),
    ("<|tool_call|>", ToolFormat("<|tool_call|>[", _json_call("", ""), ", ", "]")),  # Granite 3
    ("<tool_call>", _HERMES),
)
_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "needle_tool",
        "description": "d",
        "parameters": {
            "type": "object",
            "properties": {"x": {"type": "string", "description": "d"}},
            "required": ["x"],
        },
    },
}
_QUESTION: dict[str, Any] = {"role": "user", "content": "q"}
_CALLING: dict[str, Any] = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {
            "id": "call00001",
            "type": "function",
            "function": {"name": "needle_call", "arguments": {"x": 1}},
        }
    ],
}


@lru_cache(maxsize=64)
def find_formats(template: ChatTemplate) -> tuple[ToolFormat, ...]:
    """How calls may be written, the usual way first.

    Raises:
        TemplateError: The template describes tools, but not in what way they are called.
    """
    takes_tools = _TOOL["function"]["name"] in template.try_out([_QUESTION], [_TOOL])
    for texts, formats in _NAMED:
        if all(text in template.source for text in texts):
            return tuple(replace(form, takes_tools=takes_tools) for form in formats)
    found = read_format(template.try_out) or read_format(lambda m: template.try_out(m, [_TOOL]))
    if found is not None:
        return (replace(found, takes_tools=takes_tools),)
    if not takes_tools:
        return (OWN_FORMAT,)
    for text, form in _HIDDEN:
        if text in template.source and not _shows_calls(template):
            return (replace(form, is_native=False, takes_tools=True),)
    raise TemplateError(
        "the chat template describes tools to the model, but it is not known how this model calls"
        " them; pass a template= that renders tool calls"
    )


@lru_cache(maxsize=64)
def shows_results(template: ChatTemplate) -> bool:
    """Whether the template has a place for messages with the results of calls."""
    result = {"role": "tool", "tool_call_id": "call00001", "name": "f", "content": "needle-result"}
    messages = [_QUESTION, _CALLING, result]
    return any("needle-result" in template.try_out(messages, tools) for tools in (None, [_TOOL]))


def _shows_calls(template: ChatTemplate) -> bool:
    messages = [_QUESTION, _CALLING]
    return any("needle_call" in template.try_out(messages, tools) for tools in (None, [_TOOL]))
