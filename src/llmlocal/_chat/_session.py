"""A conversation: a value that remembers what was said, and asks the model for the next answer.

Over 400 lines: two thirds are the signatures and the documentation of one public class, which
users read in one place; its work is done in the modules beside it.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, cast, get_args, overload

from llmlocal._chat._ask import ask
from llmlocal._chat._compose import Setting, compose, compose_next
from llmlocal._chat._history import added_messages, copied, record
from llmlocal._chat._model import ChatModel, as_messages
from llmlocal._chat._options import AnswerOptions, RunOptions
from llmlocal._chat._overflow import Overflow, turn_starts
from llmlocal._chat._reply import ChatReply
from llmlocal._chat._run import arun_loop, run_loop
from llmlocal._chat._saved import (
    SavedSession,
    read_file,
    read_session,
    write_file,
    write_session,
)
from llmlocal._chat._stream import AsyncChatStream, ChatStream
from llmlocal._chat._tools import Tool, ToolChoice, ToolLike, as_tools, tool_dicts
from llmlocal._chat._turn import Busy, Prompt, Turn
from llmlocal._checks import check_bool, check_choice, check_type, check_whole, mapped
from llmlocal._generation._constraint import CONSTRAINTS
from llmlocal._generation._options import MOST_ANSWERS, Options, RequestOptions, check_names
from llmlocal._generation._reply import TokenCallback
from llmlocal._in_thread import in_thread
from llmlocal._templates import ChatTemplate, Message
from llmlocal._typing import Unpack
from llmlocal.errors import ParameterError

__all__ = ["ChatSession"]

_SETTINGS = (
    "system",
    "messages",
    "template",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "documents",
    "variables",
    "overflow",
)


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
        tools: What the model may call: functions, pydantic models, OpenAI's dicts, or what an MCP
            client lists.  The reply has the calls; :meth:`run` makes them.
        tool_choice: ``"auto"`` (as the model likes), ``"none"``, ``"required"``, or a tool's name.
        parallel_tool_calls: Whether one answer may call several tools.  None: if the model's
            template knows tools; others are likely to repeat themselves.
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
        tools: Sequence[ToolLike] | None = None,
        tool_choice: ToolChoice = "auto",
        parallel_tool_calls: bool | None = None,
        documents: Sequence[Mapping[str, Any]] | None = None,
        variables: Mapping[str, Any] | None = None,
        overflow: Overflow = "error",
        **options: Unpack[Options],
    ) -> None:
        check_choice("overflow", overflow, get_args(Overflow))
        check_names(options, also=_SETTINGS)
        RequestOptions({}, **options).check()
        self._model = model
        self.history = copied(as_messages(messages, system))
        self.template = template
        self.tools = tools
        self.tool_choice = tool_choice
        self.parallel_tool_calls = parallel_tool_calls
        self.documents = documents
        self.variables = mapped("variables", variables)
        self.overflow: Overflow = overflow
        self.options: Options = options
        self.first = 0
        self._busy = Busy()
        if tools or any(options.get(name) is not None for name in CONSTRAINTS):
            model._expect_constraints()

    def __repr__(self) -> str:
        return f"<ChatSession {len(self.history)} messages>"

    # --- Answers ---------------------------------------------------------------------------------

    @overload
    def generate(
        self,
        prompt: str | Message | Sequence[Message] | None = None,
        *,
        streaming: Literal[False] = False,
        callback: TokenCallback | None = None,
        variables: Mapping[str, Any] | None = None,
        **options: Unpack[AnswerOptions],
    ) -> ChatReply: ...
    @overload
    def generate(
        self,
        prompt: str | Message | Sequence[Message] | None = None,
        *,
        streaming: Literal[True],
        callback: TokenCallback | None = None,
        variables: Mapping[str, Any] | None = None,
        **options: Unpack[AnswerOptions],
    ) -> ChatStream: ...
    @overload
    def generate(
        self,
        prompt: str | Message | Sequence[Message] | None = None,
        *,
        streaming: bool,
        callback: TokenCallback | None = None,
        variables: Mapping[str, Any] | None = None,
        **options: Unpack[AnswerOptions],
    ) -> ChatReply | ChatStream: ...
    def generate(
        self,
        prompt: str | Message | Sequence[Message] | None = None,
        *,
        streaming: bool = False,
        callback: TokenCallback | None = None,
        variables: Mapping[str, Any] | None = None,
        **options: Unpack[AnswerOptions],
    ) -> ChatReply | ChatStream:
        """Say something, and get the answer.  Both are in the history afterwards.

        A turn that fails, or is cut before the first word, leaves the history as it was.

        Args:
            prompt: What the user says, or any message as a dict, or several (the results of calls).
                None: answer the history as it is; a last message of the assistant is continued
                then.
            streaming: Return the answer piece by piece while the model writes it.
            callback: As in :meth:`llmlocal.LLM.generate`; sees the raw text, reasoning included.
            variables: Variables of the template for this answer, on top of the session's.
            **options: As in :meth:`llmlocal.LLM.generate`; and ``tools``, ``tool_choice`` and
                ``parallel_tool_calls``, instead of the session's.

        Returns:
            A :class:`llmlocal.ChatReply`, which is a ``str``; with ``streaming`` a
            :class:`llmlocal.ChatStream`.

        Raises:
            RequestError: This session is answering already.
            ContextOverflowError: The conversation, or with ``overflow="drop_oldest"`` its last turn,
                does not fit in the context.
            TemplateError: The template is missing or broken, or refuses these messages.
            ParameterError: An option is out of its range, or a tool's schema can't be enforced.
        """
        check_bool("streaming", streaming)
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

    async def agenerate(
        self,
        prompt: str | Message | Sequence[Message] | None = None,
        *,
        callback: TokenCallback | None = None,
        variables: Mapping[str, Any] | None = None,
        **options: Unpack[AnswerOptions],
    ) -> ChatReply:
        """Say something, and get the answer, without blocking the event loop; see :meth:`generate`.

        Cancelling the task stops the model, and leaves the history as it was.
        """
        turn = self._turn(prompt)
        try:
            request, sent = await in_thread(self._prepare, prompt, variables, options)
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
        prompt: str | Message | Sequence[Message] | None = None,
        *,
        callback: TokenCallback | None = None,
        variables: Mapping[str, Any] | None = None,
        **options: Unpack[AnswerOptions],
    ) -> AsyncChatStream:
        """Say something, and get the answer piece by piece in an ``async for`` loop."""
        return AsyncChatStream(
            lambda: self._turn(prompt),
            lambda: self._prepare(prompt, variables, options),
            lambda turn, tokens, request: self._model.astream(
                tokens, callback=turn.callback(callback), **request
            ),
        )

    def answers(self, n: int, **options: Unpack[AnswerOptions]) -> list[ChatReply]:
        """Several answers to the history as it is, which stays so; the prompt is evaluated once.

        Args:
            n: How many, >= 1.
            **options: As in :meth:`generate`; with a ``seed`` the first answer has it, the next one
                the next.
        """
        check_whole("n", n, 1, MOST_ANSWERS, is_optional=False)
        seed = options.get("seed", self.options.get("seed"))
        seeds = RequestOptions({}, seed=seed).seeds(1, n)
        asked: list[AnswerOptions] = [{**options, "seed": each} for each in seeds]
        with ExitStack() as stack:
            streams = [
                stack.enter_context(self.fork().generate(streaming=True, **each)) for each in asked
            ]
            return [stream.result for stream in streams]

    def begin_turn(self, *, seed: int) -> tuple[Turn, Prompt, Options]:
        """For many sessions at once: a turn on the history as it is, to be answered elsewhere.

        Returns:
            The turn, what it sends to the model, and the options of its request.
        """
        request, sent = self._prepare(None, None, {"seed": seed})
        turn = self._turn(None)
        turn.start(sent)
        return turn, sent, request

    # --- Tools -----------------------------------------------------------------------------------

    def run(
        self,
        prompt: str | Message | Sequence[Message] | None = None,
        **options: Unpack[RunOptions],
    ) -> ChatReply:
        """Say something, call the functions that the model asks for, and get its final answer.

        Calls and results are in the history, as messages.  Arguments that break a tool's schema
        never reach its function.

        Args:
            prompt: As in :meth:`generate`.
            **options: As in :meth:`generate`, where a ``tool_choice`` of ``"required"`` or a name
                holds for the first answer; and ``max_rounds=8``, ``on_call``, ``on_result``,
                ``on_part``, ``on_error="tell"``, ``execute`` and ``parallel=False``, which
                ``llmlocal.RunOptions`` describes.

        Raises:
            ParameterError: There are no tools, or one that can't be called.

        Example:
            >>> def add(a: int, b: int) -> int:
            ...     "The sum of two numbers."
            ...     return a + b
            >>> session.run("What is 2 + 3?", tools=[add])
        """
        return run_loop(self, prompt, options)

    async def arun(
        self,
        prompt: str | Message | Sequence[Message] | None = None,
        **options: Unpack[RunOptions],
    ) -> ChatReply:
        """The same without blocking the event loop; see :meth:`run`.

        Async functions are awaited, others run in threads.
        """
        return await arun_loop(self, prompt, options)

    @property
    def own_tools(self) -> tuple[Tool, ...]:
        """The session's tools, with their functions."""
        return self._tools

    # --- The conversation ------------------------------------------------------------------------

    @property
    def tools(self) -> list[dict[str, Any]] | None:
        """What the model may call, as OpenAI's dicts.  May be set, to all that ``tools=`` takes."""
        return tool_dicts(self._tools)

    @tools.setter
    def tools(self, tools: Sequence[ToolLike] | None) -> None:
        self._tools = as_tools(tools)

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
        check_bool("state", state)
        evaluated = b""
        if state and self.history:
            sent = compose_next(self._model, self.history, self._setting())
            evaluated = self._model.save_state(sent.tokens)
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

    def _turn(self, prompt: str | Message | Sequence[Message] | None) -> Turn:
        added = added_messages(prompt)
        return Turn(self._busy, lambda reply: self._record(added, reply))

    def _prepare(
        self,
        prompt: str | Message | Sequence[Message] | None,
        variables: Mapping[str, Any] | None,
        options: AnswerOptions,
    ) -> tuple[Options, Prompt]:
        """What to ask the model for, and the prompt."""
        # They may have been set since.
        check_type("history", self.history, list)
        check_choice("overflow", self.overflow, get_args(Overflow))
        self.options = cast("Options", mapped("options", self.options))
        self.variables = mapped("variables", self.variables)
        messages = [*self.history, *added_messages(prompt)]
        return ask(self._compose, messages, self._setting(), self.options, options, variables)

    def _compose(self, messages: list[dict[str, Any]], setting: Setting) -> Prompt:
        """The prompt for the history and what is added to it."""
        sent, self.first = compose(self._model, messages, setting)
        return sent

    def _record(self, added: list[dict[str, Any]], reply: ChatReply) -> None:
        record(self.history, added, reply)

    def _setting(self) -> Setting:
        return Setting(
            template=self.template,
            tools=self._tools,
            tool_choice=self.tool_choice,
            is_parallel=self.parallel_tool_calls,
            documents=self.documents,
            variables=self.variables,
            overflow=self.overflow,
            first=self.first,
            max_tokens=None,
        )
