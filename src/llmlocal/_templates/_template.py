"""One chat template: messages in, prompt out.

:class:`ChatTemplate` adapts the messages to what the template takes, renders it in the bounded
environment, and turns everything that can go wrong into a :class:`TemplateError` that says what
the caller can do.  Which template is used, and what becomes of the prompt, is decided elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from llmlocal._checks import check_bool, mapped
from llmlocal._tokens import check_text

from ..errors import ParameterError, TemplateError
from ._limits import Limits, TemplateLimitError
from ._marked import MarkedText, Segment, marked
from ._messages import Message, as_text, checked_messages
from ._prompt import ChatPrompt
from ._read_reasoning import read_reasoning_tags
from ._reasoning import ReasoningTags, reasoning_tags
from ._shape import Shape

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["ChatTemplate"]

_LIMITS = Limits()
_MAX_SOURCE = 100_000  # the longest in use has 17,000 characters
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_.+-]{1,64}")
# Our own types, by what a template's author knows them as.
_OWN_TYPES = re.compile(r"(?:llmlocal(?:\.\w+)*\.)?\b(MarkedText|FormatMethod|_Dict|_Namespace)\b")
_KNOWN_AS = {
    "MarkedText": "str",
    "FormatMethod": "method",
    "_Dict": "dict",
    "_Namespace": "namespace",
}
_NAME_IN_MESSAGE = re.compile(r"'(\w+)' is undefined|No (filter|test) named '(\w+)'")


class ChatTemplate:
    """A Jinja chat template, as model files carry them.

    Args:
        source: The template's text.
        filters: Filters that it needs beyond Jinja's, Hugging Face's and ``regex_replace``.
        limits: Bounds on what one rendering may cost.

    Example:
        >>> template = ChatTemplate("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}")
        >>> template.render([{"role": "user", "content": "hi"}])
        '<user>hi'
    """

    def __init__(
        self,
        source: str,
        *,
        filters: Mapping[str, Callable[..., Any]] | None = None,
        limits: Limits = _LIMITS,
    ) -> None:
        check_text(source, "source")
        if len(source) > _MAX_SOURCE:
            message = (
                f"the chat template has {len(source):,} characters; {_MAX_SOURCE:,} are allowed"
            )
            raise TemplateError(message)
        self.source = source
        self._filters = mapped("filters", filters)
        self._limits = limits

    def __repr__(self) -> str:
        return f"ChatTemplate({self.source!r:.60})"

    def render(
        self,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        tools: Sequence[Mapping[str, Any]] | None = None,
        documents: Sequence[Mapping[str, Any]] | None = None,
        variables: Mapping[str, Any] | None = None,
        special_tokens: Mapping[str, str] | None = None,
        now: datetime | None = None,
    ) -> ChatPrompt:
        """The prompt for ``messages``.

        With a generation prompt, a last message of the assistant is left open, so that the model
        continues it; without one, it is closed like every other.

        Args:
            messages: Dicts with ``role`` and ``content``.
            add_generation_prompt: Whether the assistant's turn is opened at the end.
            tools: JSON schemas of functions, for templates that describe them to the model.
            documents: Texts to answer from, for templates that take them.
            variables: More variables of the template, such as ``enable_thinking``.
            special_tokens: ``bos_token``, ``eos_token`` and others that the template may write.
            now: The time that ``strftime_now`` tells; None for the present.

        Raises:
            ParameterError: ``messages`` are not messages.
            TemplateError: The template is broken, needs something it was not given, refuses these
                messages, or ran for too long.
        """
        plain = checked_messages(messages)
        check_bool("add_generation_prompt", add_generation_prompt)
        given = {
            **{name: _given(value) for name, value in mapped("variables", variables).items()},
            **mapped("special_tokens", special_tokens),
            "tools": marked(_plain_list(tools, "tools")),
            "documents": marked(_plain_list(documents, "documents")),
            "add_generation_prompt": add_generation_prompt,
        }
        final = (
            plain.pop()
            if add_generation_prompt and plain and plain[-1]["role"] == "assistant"
            else None
        )
        segments = self._run(self._shape.adapted(plain), given, now or datetime.now())
        prompt = ChatPrompt(segments)
        return prompt if final is None else self._continued(prompt, as_text(final))

    def _continued(self, prompt: ChatPrompt, final: Mapping[str, Any]) -> ChatPrompt:
        """The prompt, with the beginning of the answer that is to be continued."""
        answer = str(final.get("content") or "")
        if self.reasoning is None:
            begun = [(answer, False)] if answer else []
        else:
            is_open = self.reasoning.is_open_in(prompt)
            begun = self.reasoning.begun(
                final.get("reasoning_content") or "", answer, is_open=is_open
            )
        return ChatPrompt((*prompt.segments, *begun))

    @cached_property
    def reasoning(self) -> ReasoningTags | None:
        """The tags that set reasoning apart: as the template shows them, else as it names them."""
        return read_reasoning_tags(self.try_out) or reasoning_tags(self.source)

    # -- what the template takes --------------------------------------------------------------

    @cached_property
    def _shape(self) -> Shape:
        return Shape(self._probe)

    def try_out(
        self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None = None
    ) -> str:
        """What the template makes of a small conversation, to find out; nothing if it fails."""
        try:
            return self._probe(self._shape.adapted(messages), tools)
        except TemplateLimitError:
            raise
        except TemplateError:
            return ""

    def _probe(
        self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None = None
    ) -> str:
        given: dict[str, Any] = {"documents": None, "bos_token": "", "eos_token": ""}
        given["tools"] = marked(tools)
        given["add_generation_prompt"] = messages[-1]["role"] != "assistant"
        return "".join(text for text, _ in self._run(messages, given, datetime.min))

    # -- running it ---------------------------------------------------------------------------

    @cached_property
    def _compiled(self) -> Template:
        from ._environment import TemplateEnvironment

        with _translated_errors():
            return TemplateEnvironment(self._filters).from_string(self.source)

    def _run(
        self, messages: list[dict[str, Any]], given: Mapping[str, Any], now: datetime
    ) -> tuple[Segment, ...]:
        from ._meter import Meter
        from ._operations import concat, rendering

        template = self._compiled
        variables = {**given, "messages": [_marked_message(message) for message in messages]}
        meter = Meter(self._limits, variables)
        with rendering(meter, now), _translated_errors():
            pieces = list(template.root_render_func(template.new_context(variables)))
            return MarkedText.own(concat(pieces)).segments()


def _marked_message(message: Mapping[str, Any]) -> dict[str, Any]:
    # A role is part of the control tokens of many templates: '<|' + role + '|>'.
    return {key: value if key == "role" else marked(value) for key, value in message.items()}


def _given(value: Any) -> Any:
    # A single word can't hold a control token, but templates make some of words: '<|' + mode + '|>'.
    return value if isinstance(value, str) and _PLAIN_WORD.fullmatch(value) else marked(value)


def _plain_list(values: Sequence[Mapping[str, Any]] | None, name: str) -> list[Any] | None:
    if values is None:
        return None
    is_list = isinstance(cast("object", values), Sequence) and not isinstance(values, str)
    if not is_list or not all(isinstance(value, Mapping) for value in values):
        message = f"{name} must be a list of dicts"
        raise ParameterError(message)
    return list(values)


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Whatever a template can raise, as a TemplateError; an interrupt passes."""
    import jinja2

    try:
        yield
    except (TemplateError, ParameterError):
        raise
    except jinja2.TemplateSyntaxError as exc:
        if _NAME_IN_MESSAGE.search(exc.message or ""):
            raise TemplateError(_explained(exc)) from exc
        message = f"the chat template is malformed, line {exc.lineno}: {exc.message}"
        raise TemplateError(message) from exc
    except Exception as exc:
        raise TemplateError(_explained(exc)) from exc


def _explained(exc: Exception) -> str:
    missing = _NAME_IN_MESSAGE.search(str(exc))
    if missing is None:
        text = _OWN_TYPES.sub(lambda match: _KNOWN_AS[match[1]], str(exc))
        return f"the chat template failed: {type(exc).__name__}: {text[:200]}"
    variable, kind, name = missing.groups()
    if variable is not None:
        return (
            f"the chat template needs {variable!r}, which it was not given;"
            f" pass it with variables={{{variable!r}: ...}}"
        )
    if kind == "test":
        return f"the chat template uses the test {name!r}, which does not exist; pass another with template="
    return (
        f"the chat template uses the filter {name!r}, which does not exist;"
        f" pass it with template=ChatTemplate(source, filters={{{name!r}: ...}})"
    )
