"""What BERT's own tokenizer does to a text and llama.cpp's does not.

Two things: Korean syllables are taken apart into letters, as all accents are; and a word of more
than a hundred characters is an unknown one, whatever pieces it is made of.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping

__all__ = ["Encode", "word_piece"]

Encode = Callable[[str], list[int]]
"""A text's tokens, without special ones."""

_LONGEST_WORD = 100
_HANGUL = re.compile("[\uac00-\ud7a3]")
_CJK = "\u2e80-\u303f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f"
# White space, punctuation and Chinese characters end a word.
_LONG_WORD = re.compile(
    rf"[^\s!-/:-@\[-`{{-~\u2000-\u206f\uff00-\uff0f{_CJK}]{{{_LONGEST_WORD + 1},}}"
)


def word_piece(encode: Encode, metadata: Mapping[str, str]) -> Encode:
    """The encoder made right for WordPiece; the same one for a model with other tokens."""
    if metadata.get("tokenizer.ggml.model") != "bert":
        return encode
    unknown = metadata.get("tokenizer.ggml.unknown_token_id")

    def encoded(text: str) -> list[int]:
        if _HANGUL.search(text):
            text = unicodedata.normalize("NFD", text)
        if unknown is None or not _LONG_WORD.search(text):
            return encode(text)
        first, *rest = _LONG_WORD.split(text)
        tokens = encode(first)
        for piece in rest:
            tokens += [int(unknown), *encode(piece)]
        return tokens

    return encoded
