"""Ids of tokens in place of a text to embed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from llmlocal import Embedder, ParameterError


def test_ids_of_tokens_stand_for_their_text(embedder: Embedder) -> None:
    texts = ["the quick fox", "bread"]
    framed = [embedder.tokenize(text) for text in texts]
    bare = [embedder.tokenize(text, add_special=False) for text in texts]
    expected = embedder.embed(texts)
    assert len(bare[0]) < len(framed[0])
    given: Any
    for given in (framed, bare, [np.array(framed[0]), bare[1]]):
        np.testing.assert_array_equal(embedder.embed(given), expected)
    prefixed = embedder.embed(bare, prefix="the ")
    np.testing.assert_array_equal(prefixed, embedder.embed(texts, prefix="the "))
    with pytest.raises(ParameterError, match="the vocabulary has"):
        embedder.embed([[10**6]])
