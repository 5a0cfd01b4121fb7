"""Scores equal the reference's, and come in order."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import numpy as np
import pytest

from llmlocal import ModelLoadError, ParameterError, RequestTimeoutError, Reranker

from . import tiny_bert
from .conftest import OpenReranker

TOLERANCE = 2e-3  # llama.cpp computes GELU by a table of 16-bit numbers.


def test_scores_are_the_references_logits(
    open_reranker: OpenReranker, reference: dict[str, Any]
) -> None:
    reranker = open_reranker()
    for (query, document), (logit,) in zip(
        reference["pairs"], reference["cross_encoder"], strict=True
    ):
        (found,) = reranker.rerank(query, [document])
        assert found.score == pytest.approx(logit, abs=TOLERANCE)
        assert found.probability == pytest.approx(1 / (1 + np.exp(-logit)), abs=TOLERANCE)


def test_the_best_comes_first(open_reranker: OpenReranker) -> None:
    reranker = open_reranker()
    documents = ["the river", "bread was cold", "", "the wheel froze", "stories about winters"] * 80
    ranked = reranker.rerank("who told stories", documents)
    scores = [each.score for each in ranked]
    assert scores == sorted(scores, reverse=True)
    assert sorted(each.index for each in ranked) == list(range(400))
    assert all(documents[each.index] == each.document for each in ranked)
    assert len({round(score, 2) for score in scores}) > 2
    top = reranker.rerank("who told stories", documents, top_n=3)
    assert [each.document for each in top] == [ranked[0].document] * 3
    in_task = asyncio.run(reranker.arerank("who told stories", documents, top_n=3))
    assert [each.document for each in in_task] == [each.document for each in top]
    assert reranker.rerank("who told stories", []) == []


def test_long_texts_leave_each_other_room(
    open_reranker: OpenReranker, caplog: pytest.LogCaptureFixture
) -> None:
    reranker = open_reranker()
    long = "the old mill wheel froze " * 40
    with caplog.at_level(logging.WARNING, "llmlocal"):
        scores = [reranker.rerank(long, [text])[0].score for text in (long, "bread", "")]
    assert len(set(scores)) == 3
    assert sum("was cut" in record.getMessage() for record in caplog.records) == 1


def test_classes_and_their_probabilities(
    open_reranker: OpenReranker, reference: dict[str, Any]
) -> None:
    reranker = open_reranker(tiny_bert.classifier())
    assert reranker.labels == tiny_bert.LABELS
    documents = [document for _, document in reference["pairs"]]
    found = reranker.classify(documents)
    for each, logits in zip(found, reference["classifier"], strict=True):
        assert each.logits == pytest.approx(logits, abs=TOLERANCE)
        expected = np.exp(logits) / np.exp(logits).sum()
        assert list(each.scores.values()) == pytest.approx(expected, abs=TOLERANCE)
        assert each.label == tiny_bert.LABELS[int(np.argmax(logits))]
        assert each.score == each.scores[each.label]
    assert reranker.classify(documents[0]).label == found[0].label
    assert reranker.classify([]) == []


def test_refusals(open_reranker: OpenReranker) -> None:
    reranker = open_reranker()
    with pytest.raises(ParameterError, match="no classes"):
        reranker.classify("bread")
    with pytest.raises(ParameterError, match="top_n"):
        reranker.rerank("a", ["b"], top_n=0)
    with pytest.raises(ParameterError, match="texts must be a list"):
        reranker.rerank("a", "b")
    with pytest.raises(ParameterError, match="text"):
        reranker.rerank("a", ["b", 5])  # type: ignore[list-item]
    with pytest.raises(RequestTimeoutError):
        reranker.rerank("a", ["b"] * 1000, timeout=1e-9)
    with pytest.raises(ModelLoadError, match="Embedder"):
        open_reranker(tiny_bert.embedder())


def test_what_llama_cpp_leaves_out_is_said(
    open_reranker: OpenReranker, caplog: pytest.LogCaptureFixture
) -> None:
    def warnings(reranker: Reranker) -> list[str]:
        del reranker
        told = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return [each for each in told if "second text" in each]

    with caplog.at_level(logging.WARNING, "llmlocal"):
        assert warnings(open_reranker(tiny_bert.cross_encoder(token_types=2))) != []
        assert warnings(open_reranker()) == []
