"""From a conversation to what the model is sent, and to what reads the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from llmlocal._chat._model import ChatModel, control_texts, count_through, find_template, render
from llmlocal._chat._output import OutputParser
from llmlocal._chat._overflow import Overflow, choose_first, room_for_answer, turn_starts
from llmlocal._chat._tools import Answer, Tool, ToolChoice, ToolUse, tool_grammar, tool_use
from llmlocal._chat._turn import Prompt
from llmlocal._generation._constraint import Constraint
from llmlocal._generation._reasoning import Reasoning
from llmlocal._templates import (
    ChatPrompt,
    ChatTemplate,
    Message,
    ReasoningSplitter,
    ReasoningTags,
    checked_messages,
    encode_prompt,
)
from llmlocal.errors import EngineClosedError, ParameterError, TemplateError

__all__ = ["Setting", "compose", "compose_next"]


@dataclass(frozen=True)
class Setting:
    """How one answer is asked for.

    Attributes:
        template: As :class:`llmlocal.ChatSession` takes it.
        tools: What the model may call.
        tool_choice: Whether it does.
        is_parallel: Whether it may call several at once; None for what its template has.
        documents: For the template.
        variables: For the template.
        overflow: What to do when the conversation outgrows the context.
        first: The message that the prompt begins with after the system message, if turns were
            left out before.
        max_tokens: What the answer may have.
        has_budget: Whether the reasoning has one; then the engine tells where it ends.
        constraint: What the answer obeys; with tools, an answer without calls.
    """

    template: str | ChatTemplate | None
    tools: tuple[Tool, ...]
    tool_choice: ToolChoice
    is_parallel: bool | None
    documents: Sequence[Mapping[str, Any]] | None
    variables: Mapping[str, Any]
    overflow: Overflow
    first: int
    max_tokens: int | None
    has_budget: bool = False
    constraint: Constraint | None = None


def compose(model: ChatModel, messages: Sequence[Message], setting: Setting) -> tuple[Prompt, int]:
    """The prompt for the messages, and the message that it begins with after the system message.

    Raises:
        ParameterError: They are no messages, or an option makes no sense.
        TemplateError: The template is missing, broken, or refuses them.
    """
    if setting.tools or setting.constraint:
        model._expect_constraints()  # While the prompt is written.
    checked_messages(messages)  # somebody may have edited them
    template = find_template(model, setting.template, with_tools=bool(setting.tools))
    use = tool_use(
        setting.tools,
        setting.tool_choice,
        is_parallel=setting.is_parallel,
        template=template,
        messages=messages,
    )
    n_head = next((i for i, m in enumerate(messages) if m["role"] != "system"), len(messages))
    encoded: dict[int, tuple[ChatPrompt, list[int]]] = {}

    def count_from(first: int) -> int:
        text = render(
            model,
            [*messages[:n_head], *messages[first:]],
            template=template,
            tools=use,
            documents=setting.documents,
            variables=setting.variables,
        )
        encoded[first] = text, encode_prompt(model, text)
        return len(encoded[first][1])

    first = kept = n_head
    if setting.overflow == "error":
        count_from(n_head)
        kept = setting.first
    else:
        starts = [n_head, *(i for i in turn_starts(messages) if i > n_head)]
        room = model.n_ctx - room_for_answer(model.n_ctx, setting.max_tokens)
        first = kept = choose_first(starts, setting.first, room, count_from)
    text, tokens = encoded[first]
    if not tokens:
        raise TemplateError("the chat template makes an empty prompt of these messages")
    tags, is_open = _reasoning(template, text, messages[-1])
    answer_tags = None if setting.has_budget else tags
    calls = _calls(model, use, answer_tags, is_open=is_open, constraint=setting.constraint)
    # Without a budget the grammar of the calls has the reasoning in it.
    reasoning = _for_engine(tags, is_open=is_open) if calls is None or setting.has_budget else None
    prompt = Prompt(
        text,
        tokens,
        _reader(use, tags, is_open=is_open),
        first - n_head,
        control_texts(model, _fixed_text(use, tags)),
        reasoning,
        setting.constraint,
        calls,
        count_reasoning=partial(_count_reasoning, model, tags),
    )
    return prompt, kept


def compose_next(model: ChatModel, history: Sequence[Message], setting: Setting) -> Prompt:
    """What the next turn's prompt will begin with.

    The end of an answer may be encoded in another way then than it was sampled.
    """
    answered = history[-1]["role"] != "user"
    coming: list[Message] = [{"role": "user", "content": "?"}] if answered else []
    sent, _ = compose(model, [*history, *coming], replace(setting, overflow="error", first=0))
    return sent


def _count_reasoning(model: ChatModel, tags: ReasoningTags | None, tokens: Sequence[int]) -> int:
    """How many of an answer's tokens are its reasoning, which it has."""
    try:
        return count_through(model, tokens, tags.closing) if tags else 0
    except EngineClosedError:
        return 0  # The answer is there, and the model was closed since.


def _for_engine(tags: ReasoningTags | None, *, is_open: bool) -> Reasoning | None:
    """Where the answer begins; what stands before every answer is part of what ends reasoning."""
    if tags is None:
        return None
    return Reasoning(tags.opening, tags.closing + tags.direct, tags.direct, tags.pad, is_open)


def _reasoning(
    template: ChatTemplate, prompt: ChatPrompt, last: Message
) -> tuple[ReasoningTags | None, bool]:
    """The tags that the answer may have, and whether the prompt has opened them."""
    tags = template.reasoning
    is_begun = last["role"] == "assistant"
    if tags is None or (is_begun and last.get("content")):
        return None, False
    return tags, tags.is_open_in(prompt) or (is_begun and "reasoning_content" in last)


def _reader(use: ToolUse, tags: ReasoningTags | None, *, is_open: bool) -> OutputParser:
    splitter = ReasoningSplitter(tags, is_open=is_open)
    formats = use.formats if use.looks_for_calls else ()
    return OutputParser(splitter, formats, use.is_text)


def _fixed_text(use: ToolUse, tags: ReasoningTags | None) -> str:
    """All that tells the parts of an answer apart: its control tokens must be seen."""
    texts = [tags.opening, tags.closing, tags.direct] if tags else []
    if use.looks_for_calls:
        texts += [text for form in use.formats for text in form.fixed_texts]
    return "".join(texts)


def _calls(
    model: ChatModel,
    use: ToolUse,
    tags: ReasoningTags | None,
    *,
    is_open: bool,
    constraint: Constraint | None,
) -> Constraint | None:
    """What an answer that may call tools is held to; None where there are none."""
    if not use.tools:
        return None
    rule = constraint.rule if constraint else None
    if constraint and rule is None:
        raise ParameterError(
            f"{constraint.option}= can't hold for an answer that may call tools: schema= and choices="
            " can; ask for it in a turn of its own, or with tools=[]"
        )
    answer = Answer(use.formats, use.allowed, use.mode, use.is_parallel, tags, is_open, text=rule)
    text = tool_grammar(answer, lambda text: control_texts(model, text), model.is_end_token)
    return replace(Constraint.lark(text), option="tools")
