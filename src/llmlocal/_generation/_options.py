"""The options of one request: their names, defaults and checks.

What the engine checks itself (the ranges) is left to it; this is about types, names and the
defaults that a model's file recommends.
"""

from __future__ import annotations

import difflib
import functools
import math
import numbers
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict, cast

from llmlocal import _core
from llmlocal._checks import listed
from llmlocal._deadline import seconds_left
from llmlocal._generation._constraint import CONSTRAINTS, Constraint, constraint_of
from llmlocal._generation._reasoning import Reasoning
from llmlocal._generation._reply import PromptCallback, check_callback
from llmlocal._quote import quote
from llmlocal._tokens import has_lone_surrogate
from llmlocal._typing import Unpack
from llmlocal.errors import ParameterError

__all__ = [
    "MOST_ANSWERS",
    "Options",
    "RequestOptions",
    "check_names",
    "merged_options",
    "recommended_options",
]


class Options(TypedDict, total=False):
    """Options of :meth:`llmlocal.LLM.generate` and its relatives; all have defaults."""

    max_tokens: int | None
    """Tokens to generate at most, >= 0; None = until the context is full. Default 200."""
    temp: float
    """Temperature, >= 0; 0 = always the most probable token. Default 0.7."""
    top_k: int
    """Keep this many most probable tokens; 0 = off. Default 40."""
    top_p: float
    """Keep the fewest most probable tokens whose sum reaches this, (0, 1]; 1 = off. Default 0.95."""
    min_p: float
    """Drop tokens below this share of the best one's probability, [0, 1]; 0 = off. Default 0.05."""
    typical_p: float
    """Locally typical sampling, (0, 1]; 1 = off. Default 1."""
    top_n_sigma: float
    """Keep logits within this many standard deviations of the best; <= 0 = off. Default -1."""
    repeat_penalty: float
    """Divides the logits of tokens seen lately, > 0; 1 = off. Default 1."""
    repeat_last_n: int
    """How many tokens "lately" is, >= 0; 0 = no penalties at all. Default 64."""
    frequency_penalty: float
    """Taken off a token's logit for each time it was seen lately; 0 = off. Default 0."""
    presence_penalty: float
    """Taken off a token's logit if it was seen lately; 0 = off. Default 0."""
    dry_multiplier: float
    """Strength of DRY, which stops verbatim repetition, >= 0; 0 = off. Default 0."""
    dry_base: float
    """How fast DRY grows with the length of the repeat, >= 1. Default 1.75."""
    dry_allowed_length: int
    """Repeats up to this many tokens are free, >= 0. Default 2."""
    dry_last_n: int
    """How many tokens DRY looks back on, >= 0; 0 = off. Default 1024."""
    dry_breakers: Sequence[str]
    """Strings that a repeat never crosses, 256 at most. Default: newline, colon, quote, asterisk."""
    xtc_probability: float
    """Chance that XTC leaves out the most obvious tokens, [0, 1]; 0 = off. Default 0."""
    xtc_threshold: float
    """Probability from which a token is obvious to XTC, [0, 1]. Default 0.1."""
    mirostat: int
    """1 or 2: that version of Mirostat, instead of top-k and its relatives; 0 = off. Default 0."""
    mirostat_tau: float
    """The surprise that Mirostat aims at, in bits, > 0. Default 5."""
    mirostat_eta: float
    """How fast Mirostat adapts, > 0. Default 0.1."""
    logit_bias: Mapping[int, float] | None
    """Added to the logits of these token ids; -inf bans a token. Default: none."""
    stop: str | Sequence[str] | None
    """Strings that end the text; they are not part of it. 16 MiB together at most. Default: none."""
    seed: int | None
    """Seed of the random choices, 0 to 2**64 - 1; None = a new one for each prompt. Default None."""
    timeout: float | None
    """Seconds after which the text ends as it is, > 0; None = never. Default None."""
    logprobs: int | None
    """Say how likely each token is, with this many of the likeliest, 0 to 20; None = don't.
    Default None."""
    reasoning_budget: int | None
    """For chats: tokens of reasoning, >= 0, after which the model has to answer; None = any number.
    Default None."""
    reasoning: Reasoning | None
    """How the model sets reasoning apart; chats know it from the template. Default None."""
    on_prompt: PromptCallback | None
    """Called as ``on_prompt(done, total)`` while the prompt is evaluated, in tokens; returning
    False ends the request. Default None."""
    schema: object
    """What the answer obeys: a JSON schema, as a dict or text, or a type: a pydantic model,
    dataclass, TypedDict, Enum, Literal, or lists and unions of these. At most one of this and the
    next three. Default None."""
    regex: str | None
    """A regular expression that the whole answer matches (Rust's syntax: no look-around)."""
    choices: Sequence[str] | None
    """The answer is one of these texts."""
    grammar: str | Constraint | None
    """A grammar that the answer obeys: GBNF as llama.cpp documents it, or Lark."""
    unsupported: Literal["error", "validate"]
    """What to do about a part of the schema that can't be enforced: ``"error"`` raises a SchemaError,
    ``"validate"`` enforces the rest and checks the answer afterwards. Default "error"."""


_FLOATS = (
    "temp",
    "top_p",
    "min_p",
    "typical_p",
    "top_n_sigma",
    "repeat_penalty",
    "frequency_penalty",
    "presence_penalty",
    "dry_multiplier",
    "dry_base",
    "xtc_probability",
    "xtc_threshold",
    "mirostat_tau",
    "mirostat_eta",
)
_INTS = ("top_k", "repeat_last_n", "dry_allowed_length", "dry_last_n", "mirostat")
_OTHERS = (
    "max_tokens",
    "dry_breakers",
    "logit_bias",
    "stop",
    "seed",
    "timeout",
    "logprobs",
    "reasoning_budget",
    "reasoning",
    "on_prompt",
)
_NAMES = frozenset((*_FLOATS, *_INTS, *_OTHERS, *CONSTRAINTS, "unsupported"))
# What these are called in other packages.
_ELSEWHERE = {
    "temperature": "temp",
    "max_new_tokens": "max_tokens",
    "n_predict": "max_tokens",
    "repetition_penalty": "repeat_penalty",
    "stream": "streaming",
    "json_schema": "schema",
    "guided_json": "schema",
    "guided_regex": "regex",
    "guided_choice": "choices",
    "guided_grammar": "grammar",
}
_INT32_MAX = 2**31 - 1
_FLOAT32_MAX = 3.4e38
_DEFAULT_MAX_TOKENS = 200
_MOST_LOGPROBS = 20
_MOST_BREAKERS = 256
MOST_ANSWERS = 256

# The names of these options in a GGUF's header (general.sampling.*).
_RECOMMENDATIONS = {
    "temp": "temp",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "xtc_probability": "xtc_probability",
    "xtc_threshold": "xtc_threshold",
    "repeat_last_n": "penalty_last_n",
    "repeat_penalty": "penalty_repeat",
    "mirostat": "mirostat",
    "mirostat_tau": "mirostat_tau",
    "mirostat_eta": "mirostat_eta",
}


def recommended_options(metadata: Mapping[str, str]) -> Options:
    """The sampling options that a model's header recommends; one that makes no sense is left out."""
    found: dict[str, Any] = {}
    for option, name in _RECOMMENDATIONS.items():
        text = metadata.get(f"general.sampling.{name}")
        if text is None:
            continue
        try:
            number = int(float(text)) if option in _INTS else float(text)
            probe = _core.SamplingParams()
            setattr(probe, option, number)
            probe.validate(1)
        except (ValueError, OverflowError, TypeError):
            continue
        found[option] = number
    return cast("Options", found)


class RequestOptions:
    """The options of one call, checked: makes a request's specification from a prompt."""

    def __init__(self, defaults: Options, **options: Unpack[Options]) -> None:
        check_names(options)
        merged = merged_options(defaults, options)
        self.max_tokens = _max_tokens(merged.get("max_tokens", _DEFAULT_MAX_TOKENS))
        self.stops = _strings("stop", merged.get("stop", ()))
        self._seed = _seed(merged.get("seed"))
        self.timeout = _timeout(merged.get("timeout"))
        self.logprobs = _count("logprobs", merged.get("logprobs"), _MOST_LOGPROBS)
        self.reasoning_budget = _count("reasoning_budget", merged.get("reasoning_budget"))
        self.reasoning = merged.get("reasoning")
        self.on_prompt = merged.get("on_prompt")
        check_callback(self.on_prompt, "on_prompt")
        self._sampling = _sampling(merged)
        self.constraint = constraint_of(merged)

    @functools.cached_property
    def _stop_strings(self) -> _core.StopStrings:
        """One for all requests: it takes a time that grows with the bytes of the strings."""
        return _core.StopStrings(self.stops)

    def check(self) -> None:
        """Raise the ParameterError that a request with these options would end with."""
        self._sampling.validate(_INT32_MAX)

    def seeds(self, count: int, answers: int = 1) -> list[int]:
        """One for each answer to each of so many prompts, those of a prompt in a row.

        Where a seed was given, the first answer to each prompt has it, the next one the next.
        """
        if self._seed is not None:
            return [(self._seed + i) % 2**64 for i in range(answers)] * count
        count *= answers
        return [int.from_bytes(os.urandom(4), "little") for _ in range(count)]

    def spec(
        self, prompt: Sequence[int], seed: int, mask: _core.TokenMask | None = None
    ) -> _core.RequestSpec:
        """What to submit for a prompt; ``mask`` holds the answer to what it must obey."""
        self._sampling.seed = seed
        return _core.RequestSpec(
            prompt,
            sampling=self._sampling,
            max_tokens=self.max_tokens,
            stops=self._stop_strings,
            timeout=self.timeout if (left := seconds_left()) is None else left,
            mask=mask,
            logprobs=self.logprobs,
            tells_prompt_done=self.on_prompt is not None,
        )


def check_names(options: Iterable[str], *, also: Sequence[str] = ()) -> None:
    """Raise a TypeError for an option that there isn't.

    Args:
        options: The names.
        also: What else the caller takes, and may be misspelt.
    """
    for name in options:
        if name not in _NAMES:
            # Comparing takes as long as the lengths multiplied, and no option has a long name.
            nearest = difflib.get_close_matches(name[:40], [*_NAMES, *also], n=1)
            near = _ELSEWHERE.get(name) or next(iter(nearest), None)
            hint = f"; did you mean {near!r}?" if near else ""
            raise TypeError(f"there is no option {quote(name)}{hint}")


def merged_options(defaults: Options, options: Options) -> Options:
    """The options of a call on top of defaults; a constraint of the call takes their place."""
    if any(options.get(name) is not None for name in CONSTRAINTS):
        kept = {name: value for name, value in defaults.items() if name not in CONSTRAINTS}
        defaults = cast("Options", kept)
    return {**defaults, **options}


def _sampling(options: Options) -> _core.SamplingParams:
    values = cast("Mapping[str, Any]", options)
    params = _core.SamplingParams()
    for name in _FLOATS:
        if name in values:
            setattr(params, name, _float32(name, values[name]))
    for name in _INTS:
        if name in values:
            setattr(params, name, _whole(name, values[name]))
    if "dry_breakers" in options:
        params.dry_breakers = _breakers(options["dry_breakers"])
    params.logit_bias = _biases(options.get("logit_bias"))
    return params


def _breakers(value: object) -> list[str]:
    breakers = _strings("dry_breakers", value)
    if len(breakers) > _MOST_BREAKERS:  # Each is looked for in the whole vocabulary.
        raise ParameterError(
            f"dry_breakers must hold at most {_MOST_BREAKERS} strings, got {len(breakers)}"
        )
    return breakers


def _float32(name: str, value: object) -> float:
    number = _number(name, value)
    if math.isfinite(number) and abs(number) > _FLOAT32_MAX:
        raise ParameterError(f"{name} is too large: it must be below 3.4e38, got {quote(value)}")
    return number


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ParameterError(f"{name} must be a number, got {quote(value)}")
    try:
        return float(value)
    except OverflowError:
        raise ParameterError(f"{name} is too large: it must be a number below 1e308") from None


def _whole(name: str, value: object, most: int = _INT32_MAX) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ParameterError(f"{name} must be a whole number, got {quote(value)}")
    if not -_INT32_MAX <= int(value) <= most:
        raise ParameterError(f"{name} must be 0 to {most}, got {value}")
    return int(value)


def _max_tokens(value: int | None) -> int | None:
    return None if value is None else _whole("max_tokens", value)


def _count(name: str, value: int | None, most: int = _INT32_MAX) -> int | None:
    if value is None:
        return None
    if (count := _whole(name, value, most)) < 0:
        raise ParameterError(f"{name} must be 0 to {most}, or None; got {value}")
    return count


def _timeout(value: float | None) -> float | None:
    if value is None:
        return None
    seconds = _number("timeout", value)
    if not seconds > 0:
        raise ParameterError(f"timeout must be > 0 seconds, got {quote(value)}")
    return seconds


def _seed(value: int | None) -> int | None:
    if value is None:
        return None
    seed = _whole("seed", value, 2**64 - 1)
    if seed < 0:
        raise ParameterError(f"seed must be 0 to 2**64 - 1, got {seed}")
    return seed


def _biases(value: object) -> list[tuple[int, float]]:
    if value is None:
        return []
    if not isinstance(value, Mapping):
        raise ParameterError(f"logit_bias must map token ids to numbers, got {quote(value, 80)}")
    return [
        (_whole("logit_bias: a token id", token), _number("logit_bias: a bias", bias))
        for token, bias in value.items()
    ]


def _strings(name: str, value: object) -> list[str]:
    if value is None:
        return []
    is_one = isinstance(value, (str, Mapping)) or not isinstance(value, Iterable)
    values = [value] if is_one else listed(name, value)
    for each in values:
        if not isinstance(each, str) or not each:
            raise ParameterError(f"{name} must hold non-empty strings, got {quote(each)}")
        if has_lone_surrogate(each):
            raise ParameterError(f"{name} must hold valid text, got {quote(each)}")
    return cast("list[str]", values)
