"""Embeddings and rankings over HTTP, equal to those in process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ollama
import openai
import pytest

from llmlocal import Embedder, ModelPool, Reranker
from llmlocal.server import create_app

from ..conftest import TinyPath
from ..embeddings import tiny_bert
from .conftest import Served, serving

TEXTS = ["a cat", "a kitten", "", "the quick brown fox"]
OPTIONS: dict[str, Any] = {"device": "cpu", "n_threads": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("encoders")
    tiny_bert.embedder().write(made / "tiny-embedder.gguf")
    tiny_bert.cross_encoder().write(made / "tiny-reranker.gguf")
    return made


@pytest.fixture(scope="module")
def server(folder: Path, tiny_path: TinyPath) -> Iterator[Served]:
    pool = ModelPool(
        [tiny_path("llama")],
        embedders=[folder / "tiny-embedder.gguf"],
        rerankers=[folder / "tiny-reranker.gguf"],
        n_ctx=256,
        **OPTIONS,
    )
    with pool, serving(create_app(pool)) as served:
        yield served


@pytest.fixture(scope="module")
def expected(folder: Path) -> Any:
    with Embedder(folder / "tiny-embedder.gguf", progress=False, **OPTIONS) as embedder:
        return embedder.embed(TEXTS)


@pytest.fixture(scope="module")
def alone(folder: Path) -> Any:
    """The first text's vector when it is asked for alone, which another batch rounds otherwise."""
    with Embedder(folder / "tiny-embedder.gguf", progress=False, **OPTIONS) as embedder:
        return embedder.embed(TEXTS[0])


def test_embeddings(server: Served, expected: Any) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        options: Any = {"model": "tiny-embedder"}
        packed = client.embeddings.create(input=TEXTS, **options)  # The client asks for base64.
        plain = client.embeddings.create(input=TEXTS, encoding_format="float", **options)
        np.testing.assert_allclose([each.embedding for each in packed.data], expected, atol=1e-6)
        np.testing.assert_allclose([each.embedding for each in plain.data], expected, atol=1e-6)
        assert packed.usage.prompt_tokens > 0
        short = client.embeddings.create(input="a cat", dimensions=8, **options).data[0].embedding
        assert len(short) == 8
        with pytest.raises(openai.BadRequestError) as caught:
            client.embeddings.create(input="word " * 500, **options)
        assert caught.value.code == "context_length_exceeded"
        with pytest.raises(openai.BadRequestError, match=r"can't embed texts.*tiny-embedder"):
            client.embeddings.create(input="x", model="tiny-llama")


def test_ids_of_tokens(server: Served) -> None:
    body: dict[str, Any] = {"model": "tiny-embedder"}
    ids = server.post("/tokenize", {**body, "content": TEXTS[3]}).json()["tokens"]
    assert server.post("/detokenize", {**body, "tokens": ids}).status_code == 200
    assert server.get("/tokenizer_info?model=tiny-embedder").json()["chat_template"] is None
    for given, text in ((ids, TEXTS[3]), ([ids, ids[1:-1]], [TEXTS[3]] * 2)):
        got = server.post("/v1/embeddings", {**body, "input": given}).json()
        plain = server.post("/v1/embeddings", {**body, "input": text}).json()
        np.testing.assert_allclose(
            [each["embedding"] for each in got["data"]],
            [each["embedding"] for each in plain["data"]],
            atol=1e-6,
        )
    got = server.post("/v1/embeddings", {**body, "input": [[99999]]})
    assert got.status_code == 400
    assert "the vocabulary has" in got.json()["error"]["message"]


def test_ollama_s(server: Served, expected: Any, alone: Any) -> None:
    client = ollama.Client(host=server.url, trust_env=False)
    got = client.embed("tiny-embedder", TEXTS)
    np.testing.assert_allclose(got.embeddings, expected, atol=1e-6)
    older = client.embeddings("tiny-embedder", TEXTS[0])
    np.testing.assert_allclose(older.embedding, alone, atol=1e-6)
    assert client.show("tiny-embedder").capabilities == ["embedding"]
    client._client.close()


def test_rankings(server: Served, folder: Path) -> None:
    documents = ["it rains", "cats sleep", "a fox runs"]
    with Reranker(folder / "tiny-reranker.gguf", progress=False, **OPTIONS) as reranker:
        ranked = reranker.rerank("animals", documents)
    body: dict[str, Any] = {"query": "animals", "documents": documents, "return_documents": True}
    got = server.post("/v1/rerank", body).json()["results"]
    assert [each["index"] for each in got] == [each.index for each in ranked]
    assert [each["document"]["text"] for each in got] == [each.document for each in ranked]
    for each, own in zip(got, ranked, strict=True):
        assert each["relevance_score"] == pytest.approx(own.score, abs=1e-4)
    assert len(server.post("/v1/rerank", {**body, "top_n": 1}).json()["results"]) == 1
    assert server.post("/v1/rerank", {"query": "x", "documents": []}).status_code == 400
    assert server.post("/v1/chat/completions", {"model": "tiny-reranker"}).status_code == 400
