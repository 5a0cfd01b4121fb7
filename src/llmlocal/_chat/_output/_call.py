"""A call of a tool, as the model wrote it."""

from __future__ import annotations

import json
import secrets
import string
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

__all__ = ["ToolCall", "new_id"]

_ID_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True)
class ToolCall:
    """What the model wants to have called.

    Attributes:
        id: Names this call; the message with its result carries it as ``tool_call_id``.
        name: The tool.
        arguments_text: The arguments as JSON text, exactly as they came.

    Example:
        >>> call = reply.tool_calls[0]
        >>> call.name, call.arguments
        ('weather', {'city': 'Paris'})
    """

    id: str
    name: str
    arguments_text: str

    @cached_property
    def arguments(self) -> dict[str, Any]:
        """The arguments by name."""
        return cast("dict[str, Any]", json.loads(self.arguments_text))

    @property
    def message(self) -> dict[str, Any]:
        """The call as an entry of ``tool_calls`` in an assistant's message."""
        function = {"name": self.name, "arguments": self.arguments_text}
        return {"id": self.id, "type": "function", "function": function}


def new_id() -> str:
    """An id: nine letters and digits, which is what the strictest templates take."""
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(9))
