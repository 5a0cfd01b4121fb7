"""Chat sessions as gpt4all has them: one for each kind of template.

Both begin with a system entry, empty if there is none, and log what is new in each turn.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from llmlocal._chat import ChatModel, ChatReply, ChatSession
from llmlocal._chat._compose import Setting
from llmlocal._chat._output import OutputParser
from llmlocal._chat._overflow import choose_first, room_for_answer
from llmlocal._chat._turn import Prompt
from llmlocal._templates import ChatPrompt, Message, ReasoningSplitter, Segment, encode_prompt
from llmlocal._typing import Unpack
from llmlocal.errors import ParameterError
from llmlocal.gpt4all._choice import Choice
from llmlocal.gpt4all._formats import TurnFormat, marked_segments
from llmlocal.gpt4all.pyllmodel import log_prompt

if TYPE_CHECKING:
    from llmlocal._generation._options import Options

__all__ = ["FormatSession", "Formatter", "JinjaSession", "new_session"]

Formatter = Callable[[list[dict[str, Any]], str], str]
"""Called with the newest message, and the system text in the first turn: gpt4all's hook."""


class JinjaSession(ChatSession):
    """A session whose template renders all that was said, each time."""

    _sent = ""  # the last prompt and its answer

    def _compose(self, messages: list[dict[str, Any]], setting: Setting) -> Prompt:
        # An empty system entry stands for the template's own instruction.
        is_empty = messages[0]["role"] == "system" and not messages[0]["content"]
        prompt = super()._compose(messages[1:] if is_empty else messages, setting)
        log_prompt(prompt.text.removeprefix(self._sent))
        self._sent = prompt.text
        return prompt

    def _record(self, added: list[dict[str, Any]], reply: ChatReply) -> None:
        super()._record(added, reply)
        self._sent += str.__str__(reply)


class FormatSession(ChatSession):
    """A session that formats each turn once and goes on with what was sent: nothing is rendered again.

    Args:
        model: The model that answers.
        history: The messages so far, a system message first.
        turn_format: The format.
        formatter: Called once for each turn; None for the format alone.
    """

    def __init__(
        self,
        model: ChatModel,
        *,
        history: Sequence[Message],
        turn_format: TurnFormat,
        formatter: Formatter | None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(model, messages=history, **options)
        self._format = turn_format
        self._formatter = formatter
        self._head: list[Segment] = []
        self._past: list[list[Segment]] = []  # the turns that were sent, with their answers
        self._seen: list[dict[str, Any]] | None = None  # the history that these are of
        self._pending: list[Segment] = []

    def _compose(self, messages: list[dict[str, Any]], setting: Setting) -> Prompt:
        added = messages[len(self.history) :]
        if not added:
            raise ParameterError("a session with a prompt format can't continue an answer")
        if self.history != self._seen:
            self._format_again()
        self._pending = self._formatted(added[0])
        log_prompt(_text(self._pending if self._past else [*self._head, *self._pending]))
        turns = [*self._past, self._pending]
        encoded: dict[int, list[int]] = {}

        def prompt_from(first: int) -> ChatPrompt:
            return ChatPrompt([*self._head, *(run for turn in turns[first:] for run in turn)])

        def count_from(first: int) -> int:
            encoded[first] = encode_prompt(self._model, prompt_from(first))
            return len(encoded[first])

        room = self._model.n_ctx - room_for_answer(self._model.n_ctx, setting.max_tokens)
        first = self.first = choose_first(range(len(turns)), self.first, room, count_from)
        output = OutputParser(ReasoningSplitter(None))
        return Prompt(prompt_from(first), encoded[first], output, 2 * first)

    def _record(self, added: list[dict[str, Any]], reply: ChatReply) -> None:
        n_before = len(self.history)
        super()._record(added, reply)
        if len(self.history) > n_before:
            self._past.append([*self._pending, *self._ended(str.__str__(reply))])
            self._seen = copy.deepcopy(self.history)

    def _ended(self, answer: str) -> list[Segment]:
        return [(answer, False), (self._format.after_answer, True)]

    def _format_again(self) -> None:
        """The history is not the one that was sent: format it turn by turn."""
        self._past, self.first = [], 0
        for message in self.history:
            if message["role"] == "user":
                self._past.append(self._formatted(message))
            elif message["role"] == "assistant" and self._past:
                self._past[-1] += self._ended(message["content"])
        self._seen = copy.deepcopy(self.history)

    def _formatted(self, message: dict[str, Any]) -> list[Segment]:
        """One turn up to its answer; the first one also gives the head."""
        content = message["content"]
        header = self.system or "" if not self._past else ""
        head = f"{header}\n\n" if header else ""
        if not self._past:
            self._head = [(head, True)] if head else []
        if self._formatter is None:
            return self._format.segments(content)
        text = self._formatter([message], header)
        if not text.startswith(head):  # the formatter has its own way with the system text
            self._head = []
        else:
            text = text.removeprefix(head)
        return (
            marked_segments(text, content) if _has_tokens(self._model, content) else [(text, True)]
        )


def _has_tokens(model: ChatModel, text: str) -> bool:
    """Whether there is the text of a control token in it."""
    return model.encode_segments([(text, True)]) != model.encode_segments([(text, False)])


def _text(segments: Sequence[Segment]) -> str:
    return "".join(text for text, _ in segments)


def new_session(
    model: ChatModel, choice: Choice, *, formatter: Formatter | None, always_has_system: bool
) -> ChatSession:
    """The session that was chosen.

    Args:
        model: The model that answers.
        choice: What to begin with.
        formatter: What a subclass formats its turns with, if it does.
        always_has_system: Whether the history begins with a system entry even if that is empty.
    """
    history = [{"role": "system", "content": choice.system}]
    if choice.kind == "format":
        turn_format = TurnFormat(choice.template)
        return FormatSession(model, history=history, turn_format=turn_format, formatter=formatter)
    _warn_of_control_tokens(model, choice.system)
    return JinjaSession(
        model,
        messages=history if always_has_system or choice.system else (),
        template=choice.template,
        overflow="drop_oldest",
    )


def _warn_of_control_tokens(model: ChatModel, system: str) -> None:
    if _has_tokens(model, system):
        warnings.warn(
            "the system text has control tokens of the model in it; they are taken as text,"
            " because the model's chat template writes its own",
            UserWarning,
            stacklevel=5,
        )
