"""A conversation: a value that remembers what was said, and asks the model for the next answer."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast, get_args, overload

from llmlocal._chat._model import ChatModel, as_messages, control_texts, find_template, render
from llmlocal._chat._overflow import Overflow, choose_first, room_for_answer, turn_starts
from llmlocal._chat._reply import ChatReply
from llmlocal._chat._saved import (
    SavedSession,
    read_file,
    read_session,
    write_file,
    write_session,
)
from llmlocal._chat._stream import AsyncChatStream, ChatStream
from llmlocal._chat._turn import Busy, Prompt, Turn
from llmlocal._generation._options import Options, RequestOptions, check_names, merged_options
from llmlocal._generation._reasoning import Reasoning
from llmlocal._generation._reply import TokenCallback
from llmlocal._quote import quote
from llmlocal._templates import (
    ChatPrompt,
    ChatTemplate,
    Message,
    ReasoningSplitter,
    checked_messages,
    encode_prompt,
)
from llmlocal._typing import Unpack
from llmlocal.errors import ParameterError, TemplateError

__all__ = ["ChatSession"]

_SETTINGS = ("system", "messages", "template", "tools", "documents", "variables", "overflow")


class ChatSession:
    """A conversation with a model.  Make it with :meth:`llmlocal.LLM.chat_session`.

    A session is a value: any number share one model, in any number of threads, and alternate
    freely; what they have in common, and what each said before, is not evaluated again.  Only one
    caller at a time may use the same session.

    Args:
        model: The model that answers.
        system: An instruction that comes first; None for none (a template may have one of its own).
        messages: A conversation to go on with, as dicts with ``role`` and ``content``.
        template: A chat template, its text, or its name in the model's file; None for the file's.
        tools: JSON schemas of functions, for templates that describe them to the model.
        documents: Texts to answer from, for templates that take them.
        variables: More variables of the template, such as ``{"enable_thinking": False}``.
        overflow: What to do when the conversation outgrows the context: ``"error"`` raises a
            :class:`llmlocal.ContextOverflowError`; ``"drop_oldest"`` leaves whole turns out of the
            prompt, the oldest first and never the system message, and says so in the reply.
        **options: Defaults for all answers of this session, as in :meth:`llmlocal.LLM.generate`;
            ``max_tokens`` is None here: until the model ends, or the context is full.

    Attributes:
        history: The messages, oldest first: plain dicts that may be read and edited between
            answers.  An answer that was cut has a ``partial`` key with the reason.
        first: The message that the prompt begins with after the system message, once the
            conversation has outgrown the context.

    Raises:
        ParameterError: ``messages`` are not valid, ``overflow`` is neither of the two, or an
            option is out of its range.

    Example:
        >>> session = llm.chat_session(system="You are terse.")
        >>> session.generate("Name a fruit.")
        'Apple.'
        >>> session.generate("Another one.").usage.cached_tokens > 0
        True
        >>> [message["role"] for message in session.history]
        ['system', 'user', 'assistant', 'user', 'assistant']
    """

    def __init__(
        self,
        model: ChatModel,
        *,
        system: str | None = None,
        messages: Sequence[Message] = (),
        template: str | ChatTemplate | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        documents: Sequence[Mapping[str, Any]] | None = None,
        variables: Mapping[str, Any] | None = None,
        overflow: Overflow = "error",
        **options: Unpack[Options],
    ) -> None:
        if overflow not in get_args(Overflow):
            raise ParameterError(
                f"overflow must be 'error' or 'drop_oldest', got {quote(overflow)}"
            )
        check_names(options, also=_SETTINGS)
        RequestOptions({}, **options).check()
        self._model = model
        self.history = _checked(as_messages(messages, system))
        self.template = template
        self.tools = tools
        self.documents = documents
        self.variables = dict(variables or {})
        self.overflow: Overflow = overflow
        self.options: Options = options
        self.first = 0
        self._busy = Busy()

    def __repr__(self) -> str:
        return f"<ChatSession {len(self.history)} messages>"

    # --- Answers ---------------------------------------------------------------------------------

    @overload
    def generate(
        self,
        prompt: str | Message | None = None,
        *,
        streaming: Literal[False] = False,
        callback: TokenCallback | None = None,
        variables: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> ChatReply: ...
    @overload
    def generate(
        self,
        prompt: str | Message | None = None,
        *,
        streaming: Literal[True],
        callback: TokenCallback | None = None,
        variables: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> ChatStream: ...
    @overload
    def generate(
        self,
        prompt: str | Message | None = None,
        *,
        streaming: bool,
        callback: TokenCallback | None = None,
        variables: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> ChatReply | ChatStream: ...
    def generate(
        self,
        prompt: str | Message | None = None,
        *,
        streaming: bool = False,
        callback: TokenCallback | None = None,
        variables: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> ChatReply | ChatStream:
        """Say something, and get the answer.  Both are in the history afterwards.

        A turn that fails, or is cut before the first word, leaves the history as it was.

        Args:
            prompt: What the user says, or any message as a dict.  None: answer the history as it
                is; a last message of the assistant is continued then.
            streaming: Return the answer piece by piece while the model writes it.
            callback: As in :meth:`llmlocal.LLM.generate`; sees the raw text, reasoning included.
            variables: Variables of the template for this answer, on top of the session's.
            **options: As in :meth:`llmlocal.LLM.generate`.

        Returns:
            A :class:`llmlocal.ChatReply`, which is a ``str``; with ``streaming`` a
            :class:`llmlocal.ChatStream`.

        Raises:
            RequestError: This session is answering already.
            ContextOverflowError: The conversation, or with ``overflow="drop_oldest"`` its last turn,
                does not fit in the context.
            TemplateError: The template is missing or broken, or refuses these messages.
            ParameterError: An option is out of its range.
        """
        turn = self._turn(prompt)
        try:
            request, sent = self._prepare(prompt, variables, options)
            turn.start(sent)
            if streaming:
                stream = self._model.generate(
                    sent.tokens, streaming=True, callback=turn.callback(callback), **request
                )
                return ChatStream(stream, turn)
            completion = self._model.generate(
                sent.tokens, callback=turn.callback(callback), **request
            )
        except BaseException:
            turn.fail()
            raise
        turn.feed_end(completion)
        return turn.finish(completion)

    def answers(self, n: int, **options: Unpack[Options]) -> list[ChatReply]:
        """Several answers to the history as it is, which stays so; the prompt is evaluated once.

        Args:
            n: How many, >= 1.
            **options: As in :meth:`generate`; with a ``seed`` the first answer has it, the next one
                the next.
        """
        request: Options = {**self.options, **options}
        seeds = RequestOptions({}, **request).seeds(1, n)
        asked: list[Options] = [{**options, "seed": seed} for seed in seeds]
        with ExitStack() as stack:
            streams = [
                stack.enter_context(self.fork().generate(streaming=True, **each)) for each in asked
            ]
            return [stream.result for stream in streams]

    async def agenerate(
        self,
        prompt: str | Message | None = None,
        *,
        callback: TokenCallback | None = None,
        variables: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> ChatReply:
        """Say something, and get the answer, without blocking the event loop; see :meth:`generate`.

        Cancelling the task stops the model, and leaves the history as it was.
        """
        import asyncio

        turn = self._turn(prompt)
        try:
            request, sent = await asyncio.to_thread(self._prepare, prompt, variables, options)
            turn.start(sent)
            completion = await self._model.agenerate(
                sent.tokens, callback=turn.callback(callback), **request
            )
        except BaseException:
            turn.fail()
            raise
        turn.feed_end(completion)
        return turn.finish(completion)

    def astream(
        self,
        prompt: str | Message | None = None,
        *,
        callback: TokenCallback | None = None,
        variables: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> AsyncChatStream:
        """Say something, and get the answer piece by piece in an ``async for`` loop."""
        return AsyncChatStream(
            lambda: self._turn(prompt),
            lambda: self._prepare(prompt, variables, options),
            lambda turn, tokens, request: self._model.astream(
                tokens, callback=turn.callback(callback), **request
            ),
        )

    # --- The conversation ------------------------------------------------------------------------

    @property
    def system(self) -> str | None:
        """The instruction that comes first, or None.  May be set."""
        if self.history and self.history[0]["role"] == "system":
            return cast("str", self.history[0]["content"])
        return None

    @system.setter
    def system(self, text: str | None) -> None:
        with self._busy:
            if self.system is not None:
                del self.history[0]
            if text is not None:
                self.history.insert(0, {"role": "system", "content": text})

    def undo(self) -> list[dict[str, Any]]:
        """Take back the last thing the user said, and all that came after it.

        Returns:
            The messages that were taken back, oldest first; none if there were none.
        """
        with self._busy:
            start = turn_starts(self.history)[-1]
            taken = self.history[start:]
            del self.history[start:]
            return taken

    def fork(self) -> ChatSession:
        """Another session that has had the same conversation, to go on in another way."""
        twin = copy.copy(self)
        twin.history = copy.deepcopy(self.history)
        twin.variables = dict(self.variables)
        twin.options = self.options.copy()
        twin._busy = Busy()
        return twin

    def to_json(self) -> str:
        """The session as JSON text: the conversation and the settings, not the model."""
        template = self.template
        settings = {
            "messages": self.history,
            "template": template.source if isinstance(template, ChatTemplate) else template,
            "tools": self.tools,
            "documents": self.documents,
            "variables": self.variables,
            "overflow": self.overflow,
        }
        options = {name: value for name, value in self.options.items() if name != "on_prompt"}
        return write_session(SavedSession(settings, options, self.first))

    @classmethod
    def from_json(cls, model: ChatModel, text: str) -> ChatSession:
        """The session that :meth:`to_json` gave, to go on with ``model``.

        Raises:
            ParameterError: ``text`` is not such a session; says why.
        """
        saved = read_session(text)
        try:
            session = cls(model, **saved.settings, **saved.options)
        except (ValueError, TypeError, AttributeError) as exc:
            raise ParameterError(f"this is not a saved chat session: {exc}") from exc
        session.first = saved.first
        return session

    def save(self, path: str | os.PathLike[str], *, state: bool = False) -> None:
        """Write the session to a file, which its user alone can read.

        Args:
            path: The file; what is there is replaced once the new one is whole.
            state: Include what the model has evaluated of it, so that the next turn evaluates
                nothing twice: on any machine with the same model and build.  Elsewhere the
                conversation is loaded all the same, and evaluated anew.

        Raises:
            OSError: The file can't be written.
        """
        evaluated = b""
        if state and self.history:
            # What the next turn will begin with: the end of an answer may be encoded in another way
            # then than it was sampled.
            answered = self.history[-1]["role"] != "user"
            coming: list[Message] = [{"role": "user", "content": "?"}] if answered else []
            text = self._render([*self.history, *coming], self.variables)
            evaluated = self._model.save_state(encode_prompt(self._model, text))
        write_file(Path(path), self.to_json(), evaluated)

    @classmethod
    def load(cls, model: ChatModel, path: str | os.PathLike[str]) -> ChatSession:
        """The session that :meth:`save` wrote, to go on with ``model``.

        A state that the model has no use for is left alone.

        Raises:
            OSError: The file can't be read.
            ParameterError: It holds no session; says why.
        """
        text, evaluated = read_file(Path(path))
        session = cls.from_json(model, text)
        if evaluated:
            model.load_state(evaluated)
        return session

    # --- How it works ----------------------------------------------------------------------------

    def _turn(self, prompt: str | Message | None) -> Turn:
        added = _added(prompt)
        return Turn(self._busy, lambda reply: self._record(added, reply))

    def _prepare(
        self,
        prompt: str | Message | None,
        variables: Mapping[str, Any] | None,
        options: Options,
    ) -> tuple[Options, Prompt]:
        """What to ask the model for, and the prompt."""
        request = merged_options({"max_tokens": None, **self.options}, options)
        checked = RequestOptions({}, **request)
        checked.check()
        added = _added(prompt)
        if not self.history and not added:
            raise ParameterError("there is nothing to answer: the history is empty")
        together = {**self.variables, **(variables or {})}
        sent = self._compose(added, together, request["max_tokens"])
        if sent.reasoning is None:
            request.pop("reasoning_budget", None)  # There is nothing to end.
        else:
            request["reasoning"] = sent.reasoning
        return request, replace(sent, constraint=checked.constraint)

    def _compose(
        self, added: list[dict[str, Any]], variables: Mapping[str, Any], max_tokens: int | None
    ) -> Prompt:
        """The prompt for the history and what is added to it."""
        messages = [*self.history, *added]
        checked_messages(messages)  # somebody may have edited them
        n_head = next((i for i, m in enumerate(messages) if m["role"] != "system"), len(messages))
        encoded: dict[int, tuple[ChatPrompt, list[int]]] = {}

        def count_from(first: int) -> int:
            text = self._render([*messages[:n_head], *messages[first:]], variables)
            encoded[first] = text, encode_prompt(self._model, text)
            return len(encoded[first][1])

        if self.overflow == "error":
            first = n_head
            count_from(first)
        else:
            starts = [n_head, *(i for i in turn_starts(messages) if i > n_head)]
            room = self._model.n_ctx - room_for_answer(self._model.n_ctx, max_tokens)
            first = self.first = choose_first(starts, self.first, room, count_from)
        text, tokens = encoded[first]
        if not tokens:
            raise TemplateError("the chat template makes an empty prompt of these messages")
        splitter, texts, reasoning = self._splitter(text, messages[-1])
        return Prompt(text, tokens, splitter, first - n_head, texts, reasoning)

    def _render(self, messages: Sequence[Message], variables: Mapping[str, Any]) -> ChatPrompt:
        return render(
            self._model,
            messages,
            template=self.template,
            tools=self.tools,
            documents=self.documents,
            variables=variables,
        )

    def _splitter(
        self, prompt: ChatPrompt, last: Message
    ) -> tuple[ReasoningSplitter, Mapping[int, str], Reasoning | None]:
        """What tells reasoning from answer, the control tokens that it must see, and the tags."""
        tags = find_template(self._model, self.template, with_tools=bool(self.tools)).reasoning
        is_begun = last["role"] == "assistant"
        if tags is None or (is_begun and last.get("content")):
            return ReasoningSplitter(None), {}, None
        is_open = tags.is_open_in(prompt) or (is_begun and "reasoning_content" in last)
        return (
            ReasoningSplitter(tags, is_open=is_open),
            control_texts(self._model, tags.opening + tags.closing),
            Reasoning(tags.opening, tags.closing, tags.direct, tags.pad, is_open),
        )

    def _record(self, added: list[dict[str, Any]], reply: ChatReply) -> None:
        if reply.is_partial and not reply and not reply.reasoning:
            return
        if not added and self.history[-1]["role"] == "assistant":
            self.history[-1] = _joined(self.history[-1], reply.message)
        else:
            self.history += [*added, reply.message]


def _added(prompt: str | Message | None) -> list[dict[str, Any]]:
    if prompt is None:
        return []
    return _checked(as_messages(prompt if isinstance(prompt, str) else [prompt]))


def _checked(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Copies of the messages, which are what they should be."""
    checked_messages(messages)
    return [copy.deepcopy(dict(message)) for message in messages]


def _joined(begun: dict[str, Any], rest: dict[str, Any]) -> dict[str, Any]:
    """A message that was continued."""
    joined = {key: value for key, value in begun.items() if key != "partial"} | rest
    for key in ("content", "reasoning_content"):
        if begun.get(key):
            joined[key] = begun[key] + rest.get(key, "")
    return joined
