"""What the catalog knows of a file for embeddings: also of other quantisations of a known model."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ._card import EmbeddingFacts, ModelCard

__all__ = ["embedding_facts"]

_NOT_IN_A_WORD = re.compile(r"[\W_]+")


def embedding_facts(filename: str, cards: Iterable[ModelCard]) -> EmbeddingFacts:
    """The facts of the model whose name the file's begins with; of the longest such name.

    ``all-MiniLM-L6-v2.Q8_0.gguf`` is the catalog's ``all-minilm-l6-v2``, in fewer bits.
    """
    wanted = _plain(filename)
    found = EmbeddingFacts()
    longest = 0
    for card in cards:
        if card.embedding is None:
            continue
        for name in (card.name, *card.aliases):
            plain = _plain(name)
            if len(plain) > longest and wanted.startswith(plain):
                found, longest = card.embedding, len(plain)
    return found


def _plain(name: str) -> str:
    """Its letters and digits, in words: so that "v1.5" is not taken for a kind of "v1"."""
    return _NOT_IN_A_WORD.sub("-", name.lower()).strip("-") + "-"
