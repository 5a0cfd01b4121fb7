"""Prompts that ask a model what goes between two texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmlocal._tokens import check_text
from llmlocal.errors import RequestError

if TYPE_CHECKING:
    from llmlocal import _core

__all__ = ["infill_prompt"]

_NAMES = ("prefix", "suffix", "middle")


def infill_prompt(tokenizer: _core.Tokenizer, prefix: str, suffix: str) -> list[int]:
    """The tokens of the prompt: prefix, suffix, and then what the model is to write.

    Raises:
        RequestError: The model has no tokens for this.
        ParameterError: One of the two is no text.
    """
    check_text(prefix)
    check_text(suffix)
    marks = tokenizer.fill_in_tokens()
    if missing := [name for name, token in zip(_NAMES, marks, strict=True) if token < 0]:
        raise RequestError(
            "this model can't fill in: it has no fill-in-the-middle token for"
            f" {', '.join(missing)}; models for code often do"
        )
    before, after, middle = marks
    start = [tokenizer.bos] if tokenizer.adds_bos else []
    return [*start, before, *_encode(tokenizer, prefix), after, *_encode(tokenizer, suffix), middle]


def _encode(tokenizer: _core.Tokenizer, text: str) -> list[int]:
    return tokenizer.encode([(text, False)], add_special=False) if text else []
