"""What a generation gives back: text that knows how it came about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from llmlocal._generation._logprobs import TokenLogprob

__all__ = ["Completion", "FinishReason", "Timings", "Usage"]

FinishReason = Literal["stop", "tool_calls", "length", "cancelled", "timeout"]
"""Why a generation ended.

``"stop"``: the model ended its text, or a stop string came up. ``"tool_calls"``: the model ended a
chat's answer by calling tools. ``"length"``: ``max_tokens`` or the end of the context was reached.
``"cancelled"``: the caller or a callback stopped it. ``"timeout"``: the time limit passed.
"""


@dataclass(frozen=True)
class Usage:
    """How many tokens a request was about.

    Attributes:
        prompt_tokens: Tokens in the prompt.
        cached_tokens: Of these, the ones that an earlier or running request had evaluated already.
        completion_tokens: Tokens in the answer.
        reasoning_tokens: Of these, the ones of a chat's reasoning, its tags included.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True)
class Timings:
    """Where a request's time went, in seconds; 0 for a stage that was not reached.

    Attributes:
        queue: From the call to the start of the prompt's evaluation.
        prompt: From there to the first token.
        first_token: From the call to the first token.
        per_token: Mean time of each token after the first.
        total: From the call to the end.
    """

    queue: float = 0.0
    prompt: float = 0.0
    first_token: float = 0.0
    per_token: float = 0.0
    total: float = 0.0


class Completion(str):  # noqa: SLOT000 - a subclass adds facts of its own
    """Generated text: a ``str`` that carries the facts of its generation.

    Attributes:
        finish_reason: Why it ended: "stop", "length", "cancelled" or "timeout".
        stop_match: The stop string that ended it (not part of the text), or None.
        usage: Token counts.
        timings: Seconds.
        seed: The seed that the random choices came from; the same seed, prompt and options give
            the same text again.  Rounding decides between tokens that are almost equally likely:
            it differs with what else is in a step, and where a prefix was reused.
        tokens: The ids of the answer's tokens.
        logprobs: How likely the model found each of them; None unless ``logprobs=`` asked for it.
        parsed: What the text stands for, where it had to obey a constraint and is whole: with
            ``schema`` the value, or the instance of the type; with ``choices``, ``regex`` and
            ``grammar`` the text. Else None: half a value is none.
    """

    finish_reason: FinishReason
    stop_match: str | None
    usage: Usage
    timings: Timings
    seed: int
    tokens: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...] | None
    parsed: Any

    def __new__(
        cls,
        text: str = "",
        *,
        finish_reason: FinishReason = "stop",
        stop_match: str | None = None,
        usage: Usage | None = None,
        timings: Timings | None = None,
        seed: int = 0,
        tokens: tuple[int, ...] = (),
        logprobs: tuple[TokenLogprob, ...] | None = None,
        parsed: Any = None,
    ) -> Completion:
        self = super().__new__(cls, text)
        self.finish_reason = finish_reason
        self.stop_match = stop_match
        self.usage = usage or Usage()
        self.timings = timings or Timings()
        self.seed = seed
        self.tokens = tokens
        self.logprobs = logprobs
        self.parsed = parsed
        return self
