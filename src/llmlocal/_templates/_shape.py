"""What a template takes, found by rendering small conversations with it.

Templates differ in the shape of a message's content (text, or parts), in what stands for no content
at all, and in whether the arguments of a tool call are data or JSON text; and they differ from role
to role.  :class:`Shape` tries each once, and only when a conversation needs to know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import TemplateError
from ._limits import TemplateLimitError
from ._messages import as_parts, as_text, with_argument_text, without_system

__all__ = ["Shape"]

_NEEDLE = "needle-in-a-haystack"
_CALLED = "needle_function"
_PARTS = [{"type": "text", "text": _NEEDLE}]
_ABSENT = object()
_ID = "call00001"  # nine letters and digits, as Mistral's templates demand

Render = Callable[[list[dict[str, Any]]], str]


class Shape:
    """Brings messages into the shape that one template takes.

    Args:
        render: Renders messages as the template has them, with the assistant's turn opened if the
            last is the user's; raises a TemplateError where it fails.
    """

    def __init__(self, render: Render) -> None:
        self._render = render
        self._takes: dict[tuple[str, bool], bool] = {}
        self._empty: dict[object, object] = {}
        self._is_argument_text: bool | None = None
        self._is_system: bool | None = None
        self._has_results: bool | None = None

    def adapted(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The messages in the shape that the template takes."""
        if messages and messages[0]["role"] == "system" and not self.takes_system:
            messages = without_system(messages)
        return [self._adapted(message) for message in messages]

    def _adapted(self, message: dict[str, Any]) -> dict[str, Any]:
        if message.get("tool_calls"):
            if message.get("content") is None:
                message = self._with_empty_content(message)
            if self.takes_argument_text:
                message = with_argument_text(message)
        content, role = message.get("content"), message["role"]
        if isinstance(content, list) and not self._takes_parts(role):
            return as_text(message)
        if isinstance(content, str) and not self._takes_text(role):
            return as_parts(message)
        return message

    # --- Content ---------------------------------------------------------------------------------

    def _takes_text(self, role: str) -> bool:
        return self._shows(role, parts=False) or not self._shows(role, parts=True)

    def _takes_parts(self, role: str) -> bool:
        return self._shows(role, parts=True)

    def _shows(self, role: str, *, parts: bool) -> bool:
        """Whether a message of this role, with content of this kind, comes out as it should."""
        key = (role, parts)
        if key not in self._takes:
            output = self._probe(self._conversation(role, _PARTS if parts else _NEEDLE))
            self._takes[key] = _NEEDLE in output and not (
                parts and ("'type'" in output or '"type"' in output)
            )
        return self._takes[key]

    def _conversation(self, role: str, content: Any) -> list[dict[str, Any]]:
        """A short conversation with a message of this role, where such a message may stand."""
        message = {"role": role, "content": content}
        if role == "user":
            return [message]
        question = {"role": "user", "content": self._user()}
        if role == "system":
            return [message, question]
        if role == "tool":
            result = {**message, "tool_call_id": _ID, "name": _CALLED}
            return [*map(self._adapted, self._calling("")), result]
        return [question, message, question]

    def _user(self) -> Any:
        """A short content for a message of the user."""
        if ("user", False) not in self._takes:
            output = self._probe([{"role": "user", "content": _NEEDLE}])
            self._takes["user", False] = _NEEDLE in output
        return "q" if self._takes["user", False] else [{"type": "text", "text": "q"}]

    @property
    def takes_system(self) -> bool:
        """Whether a system message at the head is shown; yes for a template that never renders."""
        if self._is_system is None:
            user = [{"role": "user", "content": self._user()}]
            system: Any = _NEEDLE if self._takes_text("system") else _PARTS
            self._is_system = _NEEDLE in self._probe(
                [{"role": "system", "content": system}, *user]
            ) or not self._probe(user)
        return self._is_system

    # --- Tool calls ------------------------------------------------------------------------------

    def _with_empty_content(self, message: dict[str, Any]) -> dict[str, Any]:
        """The message with the kind of no content that the template takes, its own if it can be."""
        given = None if "content" in message else _ABSENT
        if given not in self._empty:
            others = [None, _ABSENT] if given is None else [_ABSENT, None]
            expected = self._show_calling("")
            self._empty[given] = next(
                (content for content in others if self._is_empty(content, expected)), ""
            )
        return _with_content(message, self._empty[given])

    def _is_empty(self, content: object, expected: str) -> bool:
        output = self._show_calling(content)
        # A template that prints a missing content prints it as Python's None.
        return _CALLED in output and output.count("None") <= expected.count("None")

    @property
    def takes_argument_text(self) -> bool:
        """Whether the template can only take the arguments of a call as JSON text."""
        if self._is_argument_text is None:
            as_data = self._show_calling("")
            is_shown = _NEEDLE in as_data and f"{{'x': '{_NEEDLE}'}}" not in as_data
            self._is_argument_text = not is_shown and _NEEDLE in self._show_calling(
                "", as_text=True
            )
        return self._is_argument_text

    def _show_calling(self, content: object, *, as_text: bool = False) -> str:
        """The output for a conversation in which the assistant calls a tool."""
        messages = self._calling(content)
        if as_text:
            messages = [*messages[:-1], with_argument_text(messages[-1])]
        result = {"role": "tool", "content": "r", "tool_call_id": _ID, "name": _CALLED}
        if self._has_results is None:
            self._has_results = bool(self._probe([*self._calling(""), result]))
        return self._probe([*messages, result] if self._has_results else messages)

    def _calling(self, content: object) -> list[dict[str, Any]]:
        call = {
            "id": _ID,
            "type": "function",
            "function": {"name": _CALLED, "arguments": {"x": _NEEDLE}},
        }
        message = {"role": "assistant", "tool_calls": [call]}
        return [{"role": "user", "content": self._user()}, _with_content(message, content)]

    def _probe(self, messages: list[dict[str, Any]]) -> str:
        """What the template makes of messages; nothing if it fails."""
        try:
            return self._render(messages)
        except TemplateLimitError:
            raise
        except TemplateError:
            return ""


def _with_content(message: Mapping[str, Any], content: object) -> dict[str, Any]:
    plain = {key: value for key, value in message.items() if key != "content"}
    return plain if content is _ABSENT else {**plain, "content": content}
