"""Prompts that come as token ids."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import SupportsIndex, cast

from llmlocal.errors import ParameterError

__all__ = ["is_token_ids", "token_ids"]


def is_token_ids(prompt: Sequence[object]) -> bool:
    """Whether it is one prompt of token ids, and not several prompts."""
    return len(prompt) > 0 and not isinstance(prompt[0], (str, Sequence))


def token_ids(tokens: Sequence[object]) -> list[int]:
    """The ids as plain integers; numpy's are integers too.

    Raises:
        ParameterError: One is no integer, or too large to be an id.
    """
    try:
        ids = [operator.index(cast("SupportsIndex", token)) for token in tokens]
    except TypeError:
        raise ParameterError(f"token ids must be whole numbers, got {tokens!r:.80}") from None
    for each in ids:
        if not -(2**31) <= each < 2**31:
            raise ParameterError(f"there is no token {each}")
    return ids
