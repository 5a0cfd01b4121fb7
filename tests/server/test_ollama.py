"""Ollama's endpoints, through its own client over a real socket."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import ollama
import pytest

from .conftest import Served

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


def test_a_prompt(client: ollama.Client) -> None:
    done = client.generate("tiny-llama", "hello there", options=OPTIONS)
    assert done.response == client.chat("tiny-llama", MESSAGES, options=OPTIONS).message.content
    raw = client.generate("tiny-llama", "hello there", raw=True, options=OPTIONS)
    assert raw.response != done.response
    streamed = client.generate("tiny-llama", "hello there", options=OPTIONS, stream=True)
    assert "".join(each.response or "" for each in streamed) == done.response


def test_the_models(client: ollama.Client) -> None:
    [model] = client.list().models
    assert model.model == "tiny-llama"
    assert model.size
    assert model.details
    assert model.details.family == "llama"
    shown = client.show("tiny-llama")
    assert "<|im_start|>" in (shown.template or "")
    assert shown.capabilities == ["completion"]
    assert client.pull("tiny-llama").status == "success"
    with pytest.raises(ollama.ResponseError, match="no model 'x'") as caught:
        client.show("x")
    assert caught.value.status_code == 404


def test_loading_and_unloading(client: ollama.Client, server: Served) -> None:
    assert client.generate("tiny-llama", keep_alive="1h").done_reason == "load"
    [running] = client.ps().models
    assert running.model == "tiny-llama"
    assert running.size
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
