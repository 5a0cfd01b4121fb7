"""How a model writes its calls of tools: one description that renders, parses and constrains.

Nearly all formats are the same sequence: something before the calls, and for each call fixed text
around its name, its arguments and sometimes an id or a number, then something after them.  JSON
(``{"name": "f", "arguments": {...}}``) is no exception: its keys are fixed text.  The arguments are
a JSON object, or each of them stands between tags of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Literal

from llmlocal._chat._output._call import ToolCall
from llmlocal._chat._output._values import QUOTE, dialect_segments
from llmlocal._templates import Segment

__all__ = ["JsonType", "Parameters", "Slot", "ToolFormat", "json_type"]

_TAGS = re.compile(r"\s*((?:<[^<>\s]+>\w*|\[[A-Z_]+\])+)")


class Slot(Enum):
    """What is different in each call."""

    NAME = "name"
    ID = "id"
    INDEX = "index"
    ARGUMENTS = "arguments"


@dataclass(frozen=True)
class Parameters:
    """How arguments are written that are not one JSON object.

    Attributes:
        opening: Stands before an argument's name.
        middle: Stands between name and value, by the JSON type of the value.
        closing: Stands after the value.
        between: Stands between two arguments.
        is_raw: Whether strings are written as they are; else all values are in JSON or Python.
    """

    opening: str
    middle: Mapping[str, str]
    closing: str
    between: str = ""
    is_raw: bool = True


@dataclass(frozen=True)
class ToolFormat:
    """How calls are written.

    Attributes:
        opening: Stands before the first call.
        call: Fixed text and what is different, in turn.
        between: Stands between two calls; None where there can be only one.
        closing: Stands after the last.
        parameters: How the arguments are written, if each stands for itself.
        dialect: The notation of the arguments, if it is neither that nor JSON; "gemma" is known.
        first_index: What the first call's number is.
        is_native: Whether the template renders calls; else they are written into the content.
        takes_tools: Whether the template describes the tools to the model; else the system message
            has to.
    """

    opening: str
    call: tuple[str | Slot, ...]
    between: str | None
    closing: str
    parameters: Parameters | None = None
    dialect: Literal["gemma"] | None = None
    first_index: int = 0
    is_native: bool = True
    takes_tools: bool = True

    @cached_property
    def head(self) -> str:
        """All that stands before the first thing that is different."""
        first = self.call[0]
        return self.opening + (first if isinstance(first, str) else "")

    @cached_property
    def marker(self) -> str:
        """What shows that a call begins."""
        tags = _TAGS.match(self.head)
        return tags[1] if tags else self.head.strip().partition("\n")[0]

    @property
    def is_anywhere(self) -> bool:
        """Whether a call may follow text; what has no tag is a call at the beginning only."""
        return self.marker[:1] == "<" or _TAGS.match(self.head) is not None

    @property
    def is_trained(self) -> bool:
        """Whether the model's template knows it, so that the model does."""
        return self.is_native or self.takes_tools

    @property
    def fixed_texts(self) -> list[str]:
        """All text that stands around names and arguments."""
        texts = [self.opening, self.between or "", self.closing]
        texts += [piece for piece in self.call if isinstance(piece, str)]
        if self.parameters is not None:
            form = self.parameters
            texts += [form.opening, form.closing, form.between, *form.middle.values()]
        return texts if self.dialect is None else [*texts, QUOTE]

    def write(self, calls: Sequence[ToolCall]) -> str:
        """The calls as the model would write them."""
        return "".join(text for text, _ in self.segments(calls))

    def segments(self, calls: Sequence[ToolCall]) -> list[Segment]:
        """The same in runs, each with whether it is fixed text."""
        found: list[Segment] = [(self.opening, True)]
        for i, call in enumerate(calls):
            between = "\n" if self.between is None else self.between
            found += [(between if i else "", True), *self._call_segments(call, i)]
        return [(text, is_own) for text, is_own in [*found, (self.closing, True)] if text]

    def _call_segments(self, call: ToolCall, index: int) -> list[Segment]:
        texts = {Slot.NAME: call.name, Slot.ID: call.id, Slot.INDEX: str(self.first_index + index)}
        found: list[Segment] = []
        for piece in self.call:
            if isinstance(piece, str):
                found.append((piece, True))
            elif piece is Slot.ARGUMENTS:
                found += self._argument_segments(call)
            else:
                found.append((texts[piece], False))
        return found

    def _argument_segments(self, call: ToolCall) -> list[Segment]:
        form = self.parameters
        if self.dialect is not None:
            return dialect_segments(call.arguments)
        if form is None:
            return [(call.arguments_text, False)]
        found: list[Segment] = []
        for name, value in call.arguments.items():
            is_raw = form.is_raw and isinstance(value, str)
            text = value if is_raw else json.dumps(value, ensure_ascii=False)
            found += [
                ((form.between if found else "") + form.opening, True),
                (name, False),
                (form.middle[json_type(value)], True),
                (text, False),
                (form.closing, True),
            ]
        return found


JsonType = Literal["string", "number", "boolean", "null", "array", "object"]


def json_type(value: object) -> JsonType:
    """The JSON type of a Python value; whole numbers are numbers."""
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool):
        return "boolean"
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "object"
    return "array" if isinstance(value, Sequence) else "number"
