"""Text and token ids as they come from callers."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, SupportsIndex, cast

from llmlocal.errors import ParameterError

__all__ = [
    "check_prompt",
    "check_text",
    "has_lone_surrogate",
    "is_token_ids",
    "prompt_tokens",
    "token_ids",
]


def check_text(text: object) -> None:
    """Raise a ParameterError for what is no text, or can't be written as UTF-8."""
    if not isinstance(text, str):
        raise ParameterError(f"text must be a str, got {text!r:.60}")
    if has_lone_surrogate(text):
        raise ParameterError(f"text must not contain a lone surrogate, got {text!r:.60}")


def has_lone_surrogate(value: object) -> bool:
    """Half of a surrogate pair can't be written as UTF-8."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return True
    return False


def check_prompt(prompt: object) -> None:
    """Raise a ParameterError for what is neither text nor a sequence."""
    is_sequence = hasattr(prompt, "__len__") and hasattr(prompt, "__getitem__")  # numpy's too
    if not is_sequence or isinstance(prompt, (bytes, bytearray, memoryview, Mapping)):
        hint = "; decode it first" if isinstance(prompt, (bytes, bytearray)) else ""
        raise ParameterError(
            f"a prompt is text or token ids, or a list of either; got {prompt!r:.60}{hint}"
        )


def is_token_ids(prompt: Sequence[object]) -> bool:
    """Whether it is one prompt of token ids, and not several prompts."""
    return len(prompt) > 0 and not isinstance(prompt[0], (str, bytes, Sequence, Mapping))


def prompt_tokens(
    prompt: str | Sequence[int], tokenize: Callable[[str], list[int]]
) -> Sequence[int]:
    """The token ids of one prompt.

    Raises:
        ParameterError: It is no prompt, an empty one, or several.
    """
    check_prompt(prompt)
    if isinstance(prompt, str):
        if not prompt:
            raise ParameterError("prompt must not be empty")
        return tokenize(prompt)
    if len(prompt) > 0 and isinstance(cast("object", prompt[0]), str):
        raise ParameterError(f"prompt must be a single prompt here, got a list: {prompt!r:.60}")
    return token_ids(prompt)


def token_ids(tokens: Sequence[object]) -> list[int]:
    """The ids as plain integers; numpy's are integers too.

    Raises:
        ParameterError: One is no integer, or too large to be an id.
    """
    try:
        ids = [_index(token) for token in tokens]
    except TypeError:
        raise ParameterError(f"token ids must be whole numbers, got {tokens!r:.80}") from None
    for each in ids:
        if not -(2**31) <= each < 2**31:
            raise ParameterError(f"there is no token {each}")
    return ids


def _index(token: Any) -> int:
    if isinstance(token, bool):
        raise TypeError
    return operator.index(cast("SupportsIndex", token))
