"""A tool: what a model is told of a function, and how the function is reached.

Tools come as Python functions, pydantic models and dataclasses, as OpenAI's dicts, and as an MCP
client lists them; from here on they are all the same.
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from llmlocal._chat._tools._signature import function_schema, plain_schema
from llmlocal._quote import quote
from llmlocal.errors import ParameterError

__all__ = ["Tool", "ToolChoice", "ToolLike", "as_tools", "chosen", "is_some", "tool_dicts"]

ToolLike = Callable[..., Any] | type | Mapping[str, Any]
"""A function, a class with fields, or a dict with a name and a schema."""

ToolChoice = str | Mapping[str, Any]
"""Whether tools are called: "auto" (as the model likes), "none", "required"; or a tool's name."""

_NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")
_SCHEMAS = ("parameters", "inputSchema", "input_schema")


@dataclass(frozen=True)
class Tool:
    """One tool.

    Attributes:
        name: What the model calls it by.
        description: What it does.
        parameters: The JSON schema of its arguments.
        function: What is called; None for a tool that is only described.
        given: The dict that it was made of, if that was in OpenAI's form.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    function: Callable[..., Any] | None = None
    given: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """OpenAI's form, which templates read."""
        if self.given is not None:
            return copy.deepcopy(dict(self.given))
        function: dict[str, Any] = {"name": self.name}
        if self.description:
            function["description"] = self.description
        function["parameters"] = copy.deepcopy(dict(self.parameters))
        return {"type": "function", "function": function}

    def is_text(self, name: str) -> bool:
        """Whether an argument is a string, whatever its value."""
        schema = self.parameters.get("properties", {}).get(name)
        return isinstance(schema, Mapping) and is_string(schema)


def is_string(schema: Mapping[str, Any]) -> bool:
    """Whether a schema allows strings, and nothing else."""
    if "const" in schema:
        return isinstance(schema["const"], str)
    values = schema.get("enum")
    if isinstance(values, list) and values:
        return all(isinstance(value, str) for value in values)
    return schema.get("type") == "string"


def as_tools(tools: Sequence[ToolLike] | None) -> tuple[Tool, ...]:
    """The tools in one form.

    Raises:
        ParameterError: One is none, has no usable name or schema, or two have the same name.
    """
    if tools is None:
        return ()
    if isinstance(tools, str | Mapping) or not isinstance(tools, Sequence):
        raise ParameterError(f"tools must be a list, got {quote(tools)}")
    found = tuple(_tool(tool, f"tools[{i}]") for i, tool in enumerate(tools))
    names = [tool.name for tool in found]
    for name in names:
        if names.count(name) > 1:
            raise ParameterError(f"two tools have the name {name!r}")
    return found


def tool_dicts(tools: Sequence[Tool]) -> list[dict[str, Any]] | None:
    """What templates get; None where there are none."""
    return [tool.as_dict() for tool in tools] or None


def _tool(given: Any, where: str) -> Tool:
    if isinstance(given, Tool):
        return given
    if isinstance(given, Mapping):
        return _from_dict(given, where)
    if not callable(given) and hasattr(given, "inputSchema"):  # an MCP client's own class
        listed = {name: getattr(given, name, None) for name in ("name", "description")}
        return _from_dict({**listed, "inputSchema": given.inputSchema}, where)
    if isinstance(given, type):
        description = inspect.cleandoc(given.__doc__ or "")
        return _checked(Tool(given.__name__, description, plain_schema(given)), where)
    if callable(given):
        name = getattr(given, "__name__", type(given).__name__)
        return _checked(Tool(name, *function_schema(given), given), where)
    raise ParameterError(
        f"{where} must be a function, a class with fields, or a dict with a name and a schema;"
        f" got {quote(given)}"
    )


def _from_dict(given: Mapping[str, Any], where: str) -> Tool:
    inner = given.get("function", given)
    if given.get("type", "function") != "function" or not isinstance(inner, Mapping):
        raise ParameterError(f"{where} is no function: {quote(given, 80)}")
    schema = next((inner[key] for key in _SCHEMAS if inner.get(key) is not None), None)
    schema = {"type": "object", "properties": {}} if schema is None else schema
    description = inner.get("description") or ""
    if not isinstance(description, str):
        raise ParameterError(f"{where} has the description {quote(description)}, which is no text")
    is_openai = "function" in given and "parameters" in inner
    tool = Tool(
        cast("str", inner.get("name")), description, schema, given=given if is_openai else None
    )
    return _checked(tool, where)


def _checked(tool: Tool, where: str) -> Tool:
    if not isinstance(cast("object", tool.name), str) or not _NAME.fullmatch(tool.name):
        raise ParameterError(
            f"{where} has the name {quote(tool.name)}; a name is 1 to 128 letters, digits and _.:/-"
        )
    schema = cast("object", tool.parameters)
    if not isinstance(schema, Mapping) or schema.get("type", "object") != "object":
        raise ParameterError(
            f"{where} ({tool.name}) has the parameters {quote(schema)}; they must be the JSON schema"
            " of an object"
        )
    return tool


def chosen(choice: Any, tools: Sequence[Tool]) -> tuple[str, tuple[Tool, ...]]:
    """The mode ("auto", "none" or "required") and the tools that may be called.

    A tool that is named is called, and is called once.  OpenAI's "allowed_tools" leaves a choice among
    some of them: the model is told of all, so that its prompt stays the same.

    Raises:
        ParameterError: There is no such choice, or no tool to choose.
    """
    if is_some(choice):
        return _some(choice.get("allowed_tools", choice), tools)
    if isinstance(choice, Mapping):  # OpenAI's {"type": "function", "function": {"name": ...}}
        function = choice.get("function", choice)
        choice = function.get("name") if isinstance(function, Mapping) else None
    names = [tool.name for tool in tools]
    word = choice if isinstance(choice, str) else ""  # What an array makes of == is no bool.
    if word in ("auto", "none"):
        return (word if tools else "none"), tuple(tools)
    if not tools:
        raise ParameterError(f"tool_choice is {quote(choice)}, but there are no tools")
    if word == "required":
        return "required", tuple(tools)
    if word in names:
        return "required", (tools[names.index(word)],)
    raise ParameterError(
        f"tool_choice must be 'auto', 'none', 'required' or the name of a tool"
        f" ({', '.join(names)}), got {quote(choice)}"
    )


def is_some(choice: Any) -> bool:
    """Whether the choice is among some of the tools."""
    return isinstance(choice, Mapping) and choice.get("type") == "allowed_tools"


def _some(given: Any, tools: Sequence[Tool]) -> tuple[str, tuple[Tool, ...]]:
    mode = given.get("mode", "auto") if isinstance(given, Mapping) else None
    listed = given.get("tools") if isinstance(given, Mapping) else None
    entries = listed if isinstance(listed, list) else []
    names = [
        inner.get("name")
        for each in entries
        if isinstance(each, Mapping) and isinstance(inner := each.get("function", each), Mapping)
    ]
    allowed = tuple(tool for tool in tools if tool.name in names)
    if mode not in ("auto", "required") or not names or len(allowed) != len(entries):
        raise ParameterError(
            "tool_choice of the type 'allowed_tools' must have a mode, 'auto' or 'required', and"
            f" some of the tools ({', '.join(tool.name for tool in tools)}), got {given!r:.120}"
        )
    return mode, allowed
