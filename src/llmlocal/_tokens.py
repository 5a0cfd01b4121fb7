"""Text and token ids as they come from callers."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, SupportsIndex, cast

from llmlocal._quote import quote
from llmlocal.errors import ParameterError

__all__ = [
    "Prompt",
    "Prompts",
    "TokenArray",
    "check_prompt",
    "check_several_prompts",
    "check_text",
    "has_lone_surrogate",
    "is_token_ids",
    "prompt_tokens",
    "token_ids",
]


class TokenArray(Protocol):
    """A numpy array of integers."""

    @property
    def dtype(self) -> Any: ...

    @property
    def ndim(self) -> int: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def tolist(self) -> Any: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


Prompt = str | Sequence[int] | TokenArray
"""Text, or the ids of its tokens."""

Prompts = Prompt | Sequence[str] | Sequence[Sequence[int]] | Sequence[TokenArray]
"""One prompt or several."""


def check_text(text: object, name: str = "text") -> None:
    """Raise a ParameterError for what is no text, or can't be written as UTF-8."""
    if not isinstance(text, str):
        raise ParameterError(f"{name} must be a str, got {quote(text)}")
    if has_lone_surrogate(text):
        raise ParameterError(f"{name} must not contain a lone surrogate, got {quote(text)}")


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
    is_sequence = is_sequence and getattr(prompt, "ndim", 1) != 0
    if not is_sequence or isinstance(prompt, (bytes, bytearray, memoryview, Mapping)):
        hint = "; decode it first" if isinstance(prompt, (bytes, bytearray)) else ""
        raise ParameterError(
            f"a prompt is text or token ids, or a list of either; got {quote(prompt)}{hint}"
        )


def check_several_prompts(prompts: object) -> None:
    """Raise a ParameterError for a text, and for what can't be iterated over."""
    is_one = isinstance(prompts, (str, bytes, bytearray)) or getattr(prompts, "ndim", 1) == 0
    if is_one or not isinstance(prompts, Iterable):
        raise ParameterError(f"prompts must be a list, got {quote(prompts)}")


def is_token_ids(prompt: Prompts) -> bool:
    """Whether it is one prompt of token ids, and not several prompts."""
    return hasattr(prompt, "dtype") or (len(prompt) > 0 and not hasattr(prompt[0], "__len__"))


def prompt_tokens(prompt: Prompt, tokenize: Callable[[str], list[int]]) -> Sequence[int]:
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
        raise ParameterError(f"prompt must be a single prompt here, got a list: {quote(prompt)}")
    return token_ids(prompt)


def token_ids(tokens: Sequence[Any] | TokenArray) -> list[int]:
    """The ids as plain integers, from a sequence or an array of them.

    Raises:
        ParameterError: One is no integer, or too large to be an id.
    """
    check_prompt(tokens)
    ids = _plain(tokens)
    if ids and not (min(ids) >= -(2**31) and max(ids) < 2**31):
        raise ParameterError(f"there is no token {next(i for i in ids if abs(i) >= 2**31)}")
    return ids


def _plain(tokens: Any) -> list[int]:
    """In C where it is an array, or a list of plain integers: prompts are long."""
    if hasattr(tokens, "dtype"):
        if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
            raise ParameterError(
                "token ids must be a one-dimensional array of integers, got"
                f" {tokens.dtype} of shape {tuple(tokens.shape)}; several prompts are a list"
            )
        return cast("list[int]", tokens.tolist())
    # No more than it says that it has: what else is indexed like a list may never end.
    tokens = list(itertools.islice(tokens, len(tokens)))
    if set(map(type, tokens)) <= {int}:
        return cast("list[int]", tokens)
    try:
        return [_index(token) for token in tokens]
    except TypeError:
        raise ParameterError(f"token ids must be whole numbers, got {quote(tokens, 80)}") from None


def _index(token: Any) -> int:
    if isinstance(token, bool):
        raise TypeError
    return operator.index(cast("SupportsIndex", token))
