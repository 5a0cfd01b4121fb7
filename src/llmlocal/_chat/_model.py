"""What a chat needs of a model, and which template it uses."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, overload

from llmlocal._chat._tools import ToolLike, ToolUse, as_tools, tool_use
from llmlocal._quote import quote
from llmlocal._templates import (
    ChatPrompt,
    ChatTemplate,
    Message,
    SegmentEncoder,
    check_list,
)
from llmlocal._typing import Unpack
from llmlocal.errors import ParameterError, TemplateError

if TYPE_CHECKING:
    from pathlib import Path

    from llmlocal._generation._completion import Completion
    from llmlocal._generation._logprobs import TokenLogprob
    from llmlocal._generation._options import Options
    from llmlocal._generation._reply import TokenCallback

__all__ = [
    "AsyncTextStream",
    "ChatModel",
    "TextStream",
    "as_messages",
    "control_texts",
    "count_through",
    "find_template",
    "has_template",
    "render",
]


class TextStream(Iterator[str], Protocol):
    """Text that arrives: :class:`llmlocal.Stream`."""

    @property
    def logprobs(self) -> tuple[TokenLogprob, ...] | None: ...

    @property
    def result(self) -> Completion: ...

    def cancel(self) -> None: ...


class AsyncTextStream(Protocol):
    """Text that arrives in an event loop: :class:`llmlocal.AsyncStream`."""

    @property
    def logprobs(self) -> tuple[TokenLogprob, ...] | None: ...

    def __aiter__(self) -> AsyncIterator[str]: ...

    def __anext__(self) -> Awaitable[str]: ...

    def result(self) -> Awaitable[Completion]: ...

    def in_frames(self, seconds: float) -> object: ...

    def cancel(self) -> None: ...


class ChatModel(SegmentEncoder, Protocol):
    """What a chat needs of a model: :class:`llmlocal.LLM`."""

    @property
    def metadata(self) -> Mapping[str, str]: ...

    @property
    def path(self) -> Path: ...

    @property
    def n_ctx(self) -> int: ...

    @property
    def eos_token(self) -> str: ...

    def chat_template(self, name: str | None = None) -> str | None: ...

    def save_state(self, prompt: Sequence[int], /) -> bytes: ...

    def load_state(self, state: bytes, /) -> int: ...

    def detokenize(self, tokens: Sequence[int], *, special: bool = False) -> str: ...

    def is_end_token(self, token: int) -> bool: ...

    def _expect_constraints(self) -> None: ...

    @overload
    def generate(
        self,
        prompt: Sequence[int],
        *,
        streaming: Literal[True],
        callback: TokenCallback | None = None,
        **options: Unpack[Options],
    ) -> TextStream: ...
    @overload
    def generate(
        self,
        prompt: Sequence[int],
        *,
        streaming: Literal[False] = False,
        callback: TokenCallback | None = None,
        **options: Unpack[Options],
    ) -> Completion: ...

    async def agenerate(
        self,
        prompt: Sequence[int],
        *,
        callback: TokenCallback | None = None,
        **options: Unpack[Options],
    ) -> Completion: ...

    def astream(
        self,
        prompt: Sequence[int],
        *,
        callback: TokenCallback | None = None,
        **options: Unpack[Options],
    ) -> AsyncTextStream: ...


def find_template(
    model: ChatModel, template: str | ChatTemplate | None = None, *, with_tools: bool = False
) -> ChatTemplate:
    """The template to use.

    Args:
        model: Whose file may hold templates.
        template: A template, its text, or its name in the file; None for the file's own, and the
            catalog's for a file without one.
        with_tools: Whether tools are passed; some files have a template of its own for that.

    Raises:
        TemplateError: There is none, or none of this name.
    """
    if isinstance(template, ChatTemplate):
        return template
    if template is None:
        source = (
            (model.chat_template("tool_use") if with_tools else None)
            or model.chat_template()
            or _listed(model)
        )
        if not source:
            raise TemplateError(
                "the model's file has no chat template; pass one with template=,"
                " or use generate(), which needs none"
            )
        return _parsed(source)
    if not isinstance(cast("object", template), str):
        hint = "; read the file and pass its text" if isinstance(template, os.PathLike) else ""
        raise ParameterError(
            f"template must be a ChatTemplate, a text or a name, got {quote(template)}{hint}"
        )
    if not template.strip():
        raise TemplateError("the chat template is empty; pass None to use the file's own")
    if "{" in template:
        return _parsed(template)
    source = model.chat_template(template)
    if source is None:
        names = ", ".join(_names(model)) or "none"
        raise TemplateError(
            f"the model's file has no chat template {quote(template)}; it has: {names}"
        )
    return _parsed(source)


def has_template(model: ChatModel) -> bool:
    """Whether the model can chat without being given a template."""
    return bool(model.chat_template() or _listed(model))


def _listed(model: ChatModel) -> str | None:
    """What the catalog has for the model's file: older ones carry no template."""
    from llmlocal import models

    filename = model.path.name
    return next((c.chat_template for c in models.catalog() if c.filename == filename), None)


def _names(model: ChatModel) -> list[str]:
    prefix = "tokenizer.chat_template."
    return [key.removeprefix(prefix) for key in model.metadata if key.startswith(prefix)]


@lru_cache(maxsize=64)
def _parsed(source: str) -> ChatTemplate:
    return ChatTemplate(source)


def render(
    model: ChatModel,
    messages: Sequence[Message],
    *,
    template: str | ChatTemplate | None = None,
    add_generation_prompt: bool = True,
    tools: Sequence[ToolLike] | ToolUse | None = None,
    documents: Sequence[Mapping[str, Any]] | None = None,
    variables: Mapping[str, Any] | None = None,
) -> ChatPrompt:
    """The prompt that the model would be given for ``messages``; see :meth:`ChatTemplate.render`."""
    if isinstance(tools, ToolUse):
        use, found = tools, find_template(model, template, with_tools=bool(tools.tools))
    else:
        listed = as_tools(tools)
        found = find_template(model, template, with_tools=bool(listed))
        use = tool_use(listed, "auto", is_parallel=True, template=found, messages=messages)
    return found.render(
        use.adapted(messages, found),
        add_generation_prompt=add_generation_prompt,
        tools=use.given,
        documents=documents,
        variables=variables,
        special_tokens={"bos_token": model.bos_token, "eos_token": model.eos_token},
    )


def control_texts(model: ChatModel, text: str) -> dict[int, str]:
    """The control tokens that ``text`` has when a template writes it, with what they stand for."""
    tokens = model.encode_segments([(text, True)])
    if tokens == model.encode_segments([(text, False)]):
        return {}
    return {
        token: model.detokenize([token], special=True)
        for token in tokens
        if not model.detokenize([token])
    }


def count_through(model: ChatModel, tokens: Sequence[int], mark: str) -> int:
    """How many of the tokens there are up to the end of a mark; all of them where it is not there."""
    return bisect_left(
        range(len(tokens)),
        True,
        key=lambda n: mark in model.detokenize(tokens[:n], special=True),
    )


def as_messages(prompt: str | Sequence[Message], system: str | None = None) -> list[Message]:
    """A question, or a conversation, as messages; ``system`` goes before them."""
    if isinstance(prompt, str):
        messages: list[Message] = [{"role": "user", "content": prompt}]
    else:
        check_list(prompt)
        messages = [*prompt]
    if system is None:
        return messages
    if messages and messages[0].get("role") == "system":
        raise ParameterError("both system= and a system message in messages; give one of them")
    return [{"role": "system", "content": system}, *messages]
