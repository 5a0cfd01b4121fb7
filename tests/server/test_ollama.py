"""Ollama's endpoints, through its own client over a real socket."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ollama
import pytest

from llmlocal import LLM, ModelPool

from ..tiny_models import fill_in_model
from .conftest import Serve, Served

MESSAGES: Any = [{"role": "user", "content": "hello there"}]
OPTIONS: Any = {"temperature": 0, "num_predict": 8, "num_ctx": 4096}


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[ollama.Client]:
    made = ollama.Client(host=server.url, trust_env=False)
    yield made
    made._client.close()


def test_a_chat(client: ollama.Client) -> None:
    done = client.chat("tiny-llama", MESSAGES, options=OPTIONS)
    assert done.message.content
    assert done.done
    assert done.done_reason == "length"
    assert done.eval_count == 8
    streamed = list(client.chat("tiny-llama:latest", MESSAGES, options=OPTIONS, stream=True))
    assert "".join(each.message.content or "" for each in streamed) == done.message.content
    assert [each.done for each in streamed][-2:] == [False, True]


def test_a_seed(client: ollama.Client) -> None:
    def texts(seed: int) -> set[Any]:
        options: Any = {"num_predict": 8, "temperature": 1.5, "seed": seed}
        return {client.generate("tiny-llama", "hello", options=options).response for _ in range(3)}

    assert len(texts(7)) == 1
    assert len(texts(-1)) == 3  # Any seed.


def test_a_long_conversation_loses_its_oldest_messages(client: ollama.Client) -> None:
    turns: Any = [{"role": role, "content": "word " * 60} for role in ("user", "assistant") * 10]
    asked = {"model": "tiny-llama", "messages": [*turns, *MESSAGES], "options": OPTIONS}
    assert client.chat(**asked).eval_count == 8
    with pytest.raises(ollama.ResponseError, match="tokens"):
        client._request(ollama.ChatResponse, "POST", "/api/chat", json={**asked, "truncate": False})


def test_a_prompt(client: ollama.Client) -> None:
    done = client.generate("tiny-llama", "hello there", options=OPTIONS)
    assert done.response == client.chat("tiny-llama", MESSAGES, options=OPTIONS).message.content
    raw = client.generate("tiny-llama", "hello there", raw=True, options=OPTIONS)
    assert raw.response != done.response
    streamed = client.generate("tiny-llama", "hello there", options=OPTIONS, stream=True)
    assert "".join(each.response or "" for each in streamed) == done.response


def test_logprobs(client: ollama.Client) -> None:
    asked: Any = {"options": OPTIONS, "logprobs": True, "top_logprobs": 2}
    for done in (
        client.chat("tiny-llama", MESSAGES, **asked),
        client.generate("tiny-llama", "hello there", **asked),
    ):
        assert done.logprobs
        assert len(done.logprobs) == 8
        best = done.logprobs[0].top_logprobs
        assert best
        assert (best[0].token, len(best)) == (done.logprobs[0].token, 2)
    streamed = list(client.chat("tiny-llama", MESSAGES, stream=True, **asked))
    assert sum(len(each.logprobs or ()) for each in streamed) == 8
    assert client.chat("tiny-llama", MESSAGES, options=OPTIONS).logprobs is None


def test_a_gap_is_filled(serve: Serve, tmp_path: Path) -> None:
    with LLM(fill_in_model(tmp_path), device="cpu", n_ctx=512, progress=False) as llm:
        filled = llm.infill("the quick", "brown", max_tokens=8, temp=0)
        made = ollama.Client(host=serve(ModelPool({"m": llm})).url, trust_env=False)
        done = made.generate("m", "the quick", suffix="brown", options=OPTIONS)
        assert done.response == filled
        made._client.close()


def test_a_gap_needs_a_model_that_fills_it(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match=r"suffix: .*can't fill in") as caught:
        client.generate("tiny-llama", "a", suffix="b")
    assert caught.value.status_code == 400


def test_the_models(client: ollama.Client) -> None:
    model, alias = client.list().models
    assert (model.model, alias.model) == ("tiny-llama", "gpt-tiny")
    assert model.size
    assert model.modified_at
    assert abs(time.time() - model.modified_at.timestamp()) < 1e6  # the file's, made for the test
    assert model.details
    assert model.details.family == "llama"
    shown = client.show("tiny-llama")
    assert "<|im_start|>" in (shown.template or "")
    assert shown.capabilities == ["completion", "tools"]
    assert client.pull("tiny-llama").status == "success"
    with pytest.raises(ollama.ResponseError, match="no model 'x'") as caught:
        client.show("x")
    assert caught.value.status_code == 404


def test_loading_and_unloading(client: ollama.Client, server: Served) -> None:
    assert client.generate("tiny-llama", keep_alive="1h").done_reason == "load"
    [running] = client.ps().models
    assert running.model == "tiny-llama"
    assert running.size
    for ever in (-1, 1e15, 10**400):
        body = {"model": "tiny-llama", "keep_alive": ever}
        assert server.post("/api/generate", body).status_code == 200
        [running] = client.ps().models
        assert running.expires_at
        assert running.expires_at.timestamp() > time.time() + 1e9
    assert client.generate("tiny-llama", keep_alive=0).done_reason == "unload"
    assert client.ps().models == []
    assert server.get("/api/version").json()["version"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"messages": [{"role": "user", "content": "x", "images": ["aa"]}]}, "no images"),
        ({"options": {"temperature": "hot"}}, r"options\.temperature"),
        ({"format": 3}, "format"),
        ({"keep_alive": "soon"}, "keep_alive"),
        ({"think": 3}, "think"),
    ],
)
def test_what_can_not_be_honoured(server: Served, body: dict[str, Any], message: str) -> None:
    got = server.post("/api/chat", {"model": "tiny-llama", "messages": MESSAGES, **body})
    assert got.status_code == 400
    assert re.search(message, got.json()["error"])
