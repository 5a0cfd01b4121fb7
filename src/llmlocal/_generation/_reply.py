"""One request's answer while it arrives: gathers its pieces, tells the callback, makes the result.

Shared by the blocking, the streaming and the asyncio way of asking, which only differ in how they
wait.

Python runs signal handlers between any two steps of a program, and what a handler raises must not
cost a piece: the extension appends what has come to a list as its last step, and everything else
is read off that list, with counters that move once a step is done.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from llmlocal import _core
from llmlocal._generation._completion import Completion, FinishReason, Timings, Usage
from llmlocal._generation._constraint import Constraint, Unread
from llmlocal._generation._logprobs import TokenLogprob, read_logprob
from llmlocal._log import pass_on_log
from llmlocal._quote import quote
from llmlocal.errors import EngineError, ParameterError

if TYPE_CHECKING:
    from llmlocal._generation._logprobs import TokenEvent

__all__ = ["PromptCallback", "Reply", "TokenCallback", "check_callback"]

TokenCallback = Callable[[int, str], object]
"""Called as ``callback(token_id, text)`` for each token; returning False ends the generation."""

PromptCallback = Callable[[int, int], object]
"""Called as ``on_prompt(done, total)`` while a prompt is evaluated, in tokens; returning False ends
the request."""

_REASONS: dict[_core.FinishReason, FinishReason] = {
    _core.FinishReason.STOP: "stop",
    _core.FinishReason.LENGTH: "length",
    _core.FinishReason.CANCELLED: "cancelled",
    _core.FinishReason.TIMEOUT: "timeout",
}


def check_callback(callback: object, name: str = "callback") -> None:
    """Raise a ParameterError for what can't be called, or would have to be awaited."""
    if callback is None or (callable(callback) and not inspect.iscoroutinefunction(callback)):
        return
    raise ParameterError(f"{name} must be a function, and not an async one; got {quote(callback)}")


def _is_false(answer: object) -> bool:
    """False, or numpy's; not whatever is falsy, or ``sys.stdout.write`` would end a text with ""."""
    return answer is False or (hasattr(answer, "dtype") and not answer)


class Reply:
    """Reads its request's tokens, in order.  The request stops when nothing refers to it any more.

    Args:
        request: What was submitted.
        seed: Its seed.
        callback: Told of each token.
        on_prompt: Told how much of the prompt is evaluated.
        token_bytes: What a token stands for; None unless logprobs were asked for.
        n_prompt: Tokens of the prompt.
        model: Whose request it is; held until the reply is complete.
        constraint: What the answer obeys, if anything.
        reasons: Whether the text may begin with reasoning; then only the chat can read the answer.

    Attributes:
        request: Only to be watched; what it has to say is read here.
        text: The text so far.
    """

    def __init__(
        self,
        request: _core.Request,
        *,
        seed: int,
        callback: TokenCallback | None = None,
        on_prompt: PromptCallback | None = None,
        token_bytes: Callable[[int], bytes] | None = None,
        n_prompt: int = 0,
        model: object = None,
        constraint: Constraint | None = None,
        reasons: bool = False,
    ) -> None:
        self.request = request
        self._seed = seed
        self._model = model  # Held: it closes when nothing refers to it.
        self._callback = callback
        self._on_prompt = on_prompt
        self._token_bytes = token_bytes
        self._n_prompt = n_prompt
        self._prompt_done = 0
        self._events: list[TokenEvent] = []  # All that has come.
        self._n_told = (
            0  # Of these, so many are part of the answer, and the callback knows of them;
        )
        self._n_passed = 0  # and so many may be handed on.
        self._logprobs: list[TokenLogprob | None] = []  # One for each event that was told.
        self._has_logprobs = token_bytes is not None
        self._outcome: _core.Outcome | None = None
        self._is_refused = False
        self._process = os.getpid()
        self._constraint = constraint
        self._reasons = reasons
        self._completion: Completion | None = None

    @property
    def text(self) -> str:
        return "".join(text for _, text, _ in self._told)

    @property
    def _told(self) -> list[TokenEvent]:
        return self._events[: self._n_told]

    @property
    def partial(self) -> object:
        """What the text stands for so far, where it has to obey a constraint."""
        return self._constraint.read_so_far(self.text) if self._constraint else None

    @property
    def is_complete(self) -> bool:
        return self._outcome is not None

    @property
    def wants_news(self) -> bool:
        """Whether somebody is told of what comes before the end."""
        return self._callback is not None or self._on_prompt is not None

    @property
    def logprobs(self) -> tuple[TokenLogprob, ...] | None:
        """Of the tokens so far; None unless they were asked for."""
        if not self._has_logprobs:
            return None
        return tuple(each for each in self._logprobs if each is not None)

    @property
    def end(self) -> int:
        """The place after the last piece that may be handed on."""
        return self._n_passed

    def next_piece(self, begin: int) -> int | None:
        """The place of the first piece of text from place ``begin`` on; None if none has come.

        A piece that the callback refused belongs to the answer, but is none to hand on: GPT4All's
        way.
        """
        places = range(begin, self._n_passed)
        return next((place for place in places if self._events[place][1]), None)

    def piece(self, place: int) -> str:
        """The text at a place that :meth:`next_piece` told."""
        return self._events[place][1]

    def text_from(self, begin: int) -> tuple[str, int]:
        """All the text from place ``begin`` on, and the place after it."""
        return "".join([text for _, text, _ in self._events[begin : self.end]]), self.end

    def cancel(self) -> None:
        """Stop the request within a step.  Any thread may call it, any number of times."""
        self.request.cancel()

    def check_process(self) -> None:
        """Raise an EngineError in a forked child, where no engine runs."""
        if os.getpid() != self._process:
            raise EngineError(
                "this answer belongs to the process that asked for it, not to its forked child"
            )

    def read(self, timeout_ms: int, *, until_end: bool = False) -> None:
        """Wait for news, or for the end, and take what has come.

        Raises:
            EngineError: This is a forked child.
            Exception: What the callback raised; the request is cancelled then.
        """
        self.check_process()
        outcome, prompt_done = self.request.read(self._events, timeout_ms, until_end=until_end)
        if prompt_done != self._prompt_done:
            self._prompt_done = prompt_done
            self._tell_prompt()
        self._tell()
        self._read_logprobs()
        if outcome is not None:
            self._outcome = outcome
            self._model = self._token_bytes = None  # The second holds the weights.
            pass_on_log()

    def _tell_prompt(self) -> None:
        if self._on_prompt is None or self._is_refused:
            return
        try:
            is_wanted = not _is_false(self._on_prompt(self._prompt_done, self._n_prompt))
        except BaseException:
            self._refuse()
            raise
        if not is_wanted:
            self._refuse()

    def _tell(self) -> None:
        """Tell the callback of what has come, up to what it refuses."""
        if self._callback is None:
            if not self._is_refused:
                self._n_told = self._n_passed = len(self._events)
            return
        try:
            while not self._is_refused and self._n_told < len(self._events):
                token, text, _ = self._events[self._n_told]
                self._n_told += 1
                if token < 0:  # The end released what the last token and others had held back.
                    token = next((t for t, _, _ in reversed(self._told) if t >= 0), token)
                if _is_false(self._callback(token, text)):
                    self._refuse()
                else:
                    self._n_passed = self._n_told
        except BaseException:
            self._refuse()
            raise

    def _read_logprobs(self) -> None:
        if self._token_bytes is None:
            return
        while len(self._logprobs) < self._n_told:
            token, _, raw = self._events[len(self._logprobs)]
            self._logprobs.append(read_logprob(token, raw, self._token_bytes) if raw else None)

    def _refuse(self) -> None:
        self._is_refused = True
        self.cancel()

    def completion(self) -> Completion:
        """The result; call it once the reply is complete.

        Raises:
            EngineError: The request failed, or the model was closed before it was done.
            ConstraintError: The answer could not be held to what it must obey.
            SchemaError: The answer breaks what could only be checked, or its type refuses it.
        """
        assert self._outcome is not None
        if not self._is_refused:
            self._outcome.raise_error()
        if self._completion is None:
            self._completion = self._read(self._outcome)
        return self._completion

    def _read(self, outcome: _core.Outcome) -> Completion:
        tokens = tuple(token for token, _, _ in self._told if token >= 0)
        completion = Completion(
            self.text,
            finish_reason="cancelled" if self._is_refused else _REASONS[outcome.finish_reason],
            stop_match=None if self._is_refused else outcome.stop_match,
            usage=Usage(outcome.usage.prompt_tokens, outcome.usage.cached_tokens, len(tokens)),
            timings=Timings(
                outcome.timings.queue_s,
                outcome.timings.prompt_s,
                outcome.timings.first_token_s,
                outcome.timings.per_token_s,
                outcome.timings.total_s,
            ),
            seed=self._seed,
            tokens=tokens,
            logprobs=self.logprobs,
        )
        is_whole = completion.finish_reason == "stop" and completion.stop_match is None
        if self._constraint and is_whole:
            unread = Unread(self._constraint)
            completion.parsed = unread if self._reasons else unread.read(completion)
        return completion
