"""What is generated for a request, in no protocol's words: several answers, merged as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from llmlocal.errors import RequestError
from llmlocal.server._http._errors import refused

if TYPE_CHECKING:
    from llmlocal import LLM, AsyncChatStream, AsyncStream, ChatReply, Completion, TokenLogprob

__all__ = [
    "ChatJob",
    "Done",
    "Event",
    "Piece",
    "PieceKind",
    "TextJob",
    "infill_prompt",
    "together",
]

T = TypeVar("T")
_FRAME_S = 1 / 30  # As often as a video shows a picture.
PieceKind = Literal["answer", "reasoning", "call", "arguments"]


@dataclass(slots=True)
class Piece:
    """A piece of an answer.

    Attributes:
        index: Which of the answers.
        kind: ``"answer"``, ``"reasoning"``, ``"call"`` (a call of a tool begins, and ``text`` is the
            tool's name) or ``"arguments"`` (some of the JSON text of that call's arguments).
        text: Some of it.
        call: Which call of this answer, from 0.
        call_id: The call's id.
        logprobs: Those of the tokens that came since the last piece; empty where none were asked for.
    """

    index: int
    kind: PieceKind
    text: str
    call: int = 0
    call_id: str = ""
    logprobs: Sequence[TokenLogprob] = ()


@dataclass(slots=True)
class Done:
    """The end of an answer.

    Attributes:
        index: Which of the answers.
        reply: All of it, with its facts.
        logprobs: As those of a :class:`Piece`.
    """

    index: int
    reply: Any
    logprobs: Sequence[TokenLogprob] = ()


Event = Piece | Done


@dataclass(frozen=True)
class ChatJob:
    """A conversation to answer.

    Attributes:
        messages: The conversation.
        options: As :meth:`llmlocal.LLM.chat` takes them.
        n: How many answers.
    """

    messages: Sequence[Mapping[str, Any]]
    options: Mapping[str, Any] = field(default_factory=dict)
    n: int = 1

    def events(self, llm: LLM) -> AsyncGenerator[Event, None]:
        """The answers as they come; what is closed early stops the engine."""
        return _merged(
            [
                _chat_answer(i, llm.astream_chat(self.messages, **_seeded(self.options, i)))
                for i in range(self.n)
            ]
        )

    async def replies(self, llm: LLM) -> list[ChatReply]:
        """The answers, all at once."""
        return await together(
            [llm.achat(self.messages, **_seeded(self.options, i)) for i in range(self.n)]
        )


@dataclass(frozen=True)
class TextJob:
    """Prompts to continue.

    Attributes:
        prompts: Texts, or ids of tokens.
        options: As :meth:`llmlocal.LLM.generate` takes them.
        n: How many answers to each; those of one prompt follow each other.
    """

    prompts: Sequence[str | Sequence[int]]
    options: Mapping[str, Any] = field(default_factory=dict)
    n: int = 1

    def events(self, llm: LLM) -> AsyncGenerator[Event, None]:
        """The continuations as they come; what is closed early stops the engine."""
        return _merged(
            [
                _text_answer(index, llm.astream(prompt, **options))
                for index, (prompt, options) in enumerate(self._asked())
            ]
        )

    async def replies(self, llm: LLM) -> list[Completion]:
        """The continuations, all at once."""
        return await together(
            [llm.agenerate(prompt, **options) for prompt, options in self._asked()]
        )

    def _asked(self) -> Iterator[tuple[str | Sequence[int], Any]]:
        for prompt in self.prompts:
            for i in range(self.n):
                yield prompt, _seeded(self.options, i)


def infill_prompt(llm: LLM, prefix: str, suffix: str) -> list[int]:
    """The prompt for what goes between two texts.

    Raises:
        ApiError: 400: the model can't do this.
    """
    try:
        return llm.infill_prompt(prefix, suffix)
    except RequestError as exc:
        raise refused("suffix", str(exc)) from None


async def _chat_answer(index: int, stream: AsyncChatStream) -> AsyncGenerator[Event, None]:
    from llmlocal import CallPart

    async with stream.in_frames(_FRAME_S):
        told = 0
        async for part in stream.parts():
            if part.text:
                of_call = (part.number, part.id) if isinstance(part, CallPart) else (0, "")
                logprobs = (stream.logprobs or ())[told:]
                told += len(logprobs)
                yield Piece(index, part.kind, part.text, *of_call, logprobs)
        reply = await stream.result()
        yield Done(index, reply, (reply.logprobs or ())[told:])


async def _text_answer(index: int, stream: AsyncStream) -> AsyncGenerator[Event, None]:
    async with stream.in_frames(_FRAME_S):
        told = 0
        async for text in stream:
            if text:
                logprobs = (stream.logprobs or ())[told:]
                told += len(logprobs)
                yield Piece(index, "answer", text, logprobs=logprobs)
        reply = await stream.result()
        yield Done(index, reply, (reply.logprobs or ())[told:])


def _seeded(options: Mapping[str, Any], i: int) -> Any:
    """The options of the i-th answer to one prompt: a seed that was given is for the first."""
    seed = options.get("seed")
    return options if seed is None or i == 0 else {**options, "seed": (seed + i) % 2**64}


def _merged(answers: Sequence[AsyncGenerator[Event, None]]) -> AsyncGenerator[Event, None]:
    """The events of all of them in the order of their arrival."""
    return answers[0] if len(answers) == 1 else _interleaved(answers)


async def _interleaved(
    answers: Sequence[AsyncGenerator[Event, None]],
) -> AsyncGenerator[Event, None]:
    events: asyncio.Queue[Event | BaseException | None] = asyncio.Queue()

    async def follow(answer: AsyncGenerator[Event, None]) -> None:
        try:
            async for event in answer:
                events.put_nowait(event)
            events.put_nowait(None)
        except Exception as exc:  # noqa: BLE001 - raised again by who reads the queue
            events.put_nowait(exc)
        finally:
            await answer.aclose()

    tasks = [asyncio.ensure_future(follow(answer)) for answer in answers]
    try:
        left = len(tasks)
        while left:
            news = await events.get()
            if isinstance(news, BaseException):
                raise news
            if news is None:
                left -= 1
            else:
                yield news
    finally:
        await _cancel(tasks)


async def together(works: Sequence[Awaitable[T]]) -> list[T]:
    """The results of all of them; if one fails, the others end too."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        await _cancel(tasks)


async def _cancel(tasks: Sequence[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
