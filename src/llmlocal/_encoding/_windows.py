"""Texts as the tokens that a model reads: framed by its special tokens, and no longer than its window.

Special tokens are added here and not by the tokenizer, so that a text that is cut keeps the ones at
its end, as Hugging Face's tokenizers do it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from llmlocal import _core
from llmlocal._quote import quote
from llmlocal.errors import ContextOverflowError, ParameterError

__all__ = ["Frame", "Truncate", "check_truncate", "windows"]

Truncate = Literal[True, "error", "mean"]
"""What becomes of a text that is longer than the window: cut, refused, or read in parts."""


@dataclass(frozen=True)
class Frame:
    """The special tokens before and after each text, and those between the two of a pair."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    between: tuple[int, ...]
    empty: int

    @classmethod
    def of(cls, tokenizer: _core.Tokenizer, metadata: Mapping[str, str]) -> Frame:
        """What the model's vocabulary asks for, and the header of its file."""
        bare = tokenizer.encode([("a", False)], add_special=False)
        framed = tokenizer.encode([("a", False)], add_special=True)
        begin = _find(framed, bare)
        after = tuple(framed[begin + len(bare) :])
        # RoBERTa's kind separates a pair by two of its end tokens, which not every file says.
        is_bert = metadata.get("general.architecture") == "bert"
        is_word_piece = metadata.get("tokenizer.ggml.model") == "bert"
        is_doubled = (is_bert or tokenizer.adds_sep) and not is_word_piece
        between = (*after, *after) if is_doubled else after
        return cls(tuple(framed[:begin]), after, between, max(tokenizer.eos, 0))

    @property
    def size(self) -> int:
        return len(self.before) + len(self.after)

    def wrap(self, tokens: Sequence[int]) -> list[int]:
        # A model without special tokens can't read nothing at all.
        return [*self.before, *tokens, *self.after] or [self.empty]

    def unwrap(self, tokens: Sequence[int]) -> Sequence[int]:
        """A text's tokens without those special ones, where they are there."""
        begin = len(self.before) if tuple(tokens[: len(self.before)]) == self.before else 0
        end = len(tokens) - len(self.after)
        is_framed = end >= begin and tuple(tokens[end:]) == self.after
        return tokens[begin:end] if is_framed else tokens[begin:]

    def wrap_pair(self, first: Sequence[int], second: Sequence[int]) -> list[int]:
        return [*self.before, *first, *self.between, *second, *self.after]


def check_truncate(truncate: object) -> None:
    """Raise a ParameterError for what is no way to treat a long text."""
    if truncate is not True and not (isinstance(truncate, str) and truncate in ("error", "mean")):
        raise ParameterError(f"truncate must be True, 'error' or 'mean'; got {quote(truncate)}")


def windows(tokens: Sequence[int], room: int, truncate: Truncate) -> list[Sequence[int]]:
    """The parts of a text that the model reads, each of at most ``room`` tokens.

    Args:
        tokens: The text's, without special tokens.
        room: Tokens that one part may have, >= 1.
        truncate: True = only the first part; "mean" = all of them.

    Raises:
        ContextOverflowError: The text is longer, and ``truncate`` is "error".
    """
    if len(tokens) <= room:
        return [tokens]
    if truncate == "error":
        raise ContextOverflowError(
            f"a text has {len(tokens)} tokens, but this model reads {room} of a text; cut it, or"
            " pass truncate=True or 'mean'",
            n_prompt=len(tokens),
            n_ctx=room,
        )
    if truncate == "mean":
        return [tokens[begin : begin + room] for begin in range(0, len(tokens), room)]
    return [tokens[:room]]


def _find(tokens: Sequence[int], part: Sequence[int]) -> int:
    for begin in range(len(tokens) - len(part) + 1):
        if tokens[begin : begin + len(part)] == part:
            return begin
    return 0
