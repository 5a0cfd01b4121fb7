"""A stream of each protocol has the text of the whole answer, and the events that its clients expect."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from llmlocal import LLM, ChatReply, ModelPool, ToolCall
from llmlocal.server import create_app
from llmlocal.server._answers import Done, Piece
from llmlocal.server.ollama._generate import _lines, _message

from ..tiny_models import llama
from .conftest import Served, serving

# The model reasons from the beginning on, and for as long as it may.
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }} {{ m.content }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant <think>{% endif %}{# </think> #}"
)
MESSAGES: Any = [{"role": "user", "content": "hello there"}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("thinker")
    model = llama().changed(settings={"tokenizer.chat_template": TEMPLATE})
    path = model.write(folder / "thinker.gguf")
    with (
        LLM(path, device="cpu", n_ctx=512, n_threads=1, progress=False) as llm,
        ModelPool({"thinker": llm}) as pool,
        serving(create_app(pool)) as served,
    ):
        yield served


def events_of(server: Served, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The JSON of each event, or line, of a stream."""
    got = server.post(path, {"model": "thinker", **body, "stream": True})
    assert got.status_code == 200, got.text
    lines = [line.removeprefix("data: ") for line in got.text.splitlines()]
    return [json.loads(line) for line in lines if line.startswith("{")]


def whole_of(server: Served, path: str, body: dict[str, Any]) -> Any:
    return server.post(path, {"model": "thinker", **body, "stream": False}).json()


def test_openai_s_chat(server: Served) -> None:
    body = {"messages": MESSAGES, "max_tokens": 16, "reasoning_budget": 4, "temperature": 0}
    [choice] = whole_of(server, "/v1/chat/completions", body)["choices"]
    deltas = [
        each["choices"][0]["delta"] for each in events_of(server, "/v1/chat/completions", body)
    ]
    for field in ("reasoning_content", "content"):
        assert choice["message"][field]
        assert "".join(each.get(field, "") for each in deltas) == choice["message"][field]
    assert deltas[0]["role"] == "assistant"


def test_anthropic_s_messages(server: Served) -> None:
    thinking = {"type": "enabled", "budget_tokens": 4}
    body = {"messages": MESSAGES, "max_tokens": 16, "thinking": thinking, "temperature": 0}
    [thought, text] = whole_of(server, "/v1/messages", body)["content"]
    events = events_of(server, "/v1/messages", body)
    deltas = [each for each in events if each["type"] == "content_block_delta"]
    assert thought["thinking"]
    assert text["text"]
    for i, (block, field) in enumerate(((thought, "thinking"), (text, "text"))):
        own = [each["delta"][field] for each in deltas if each["index"] == i]
        assert "".join(own) == block[field]
    others = [each["type"] for each in events if each not in deltas]
    block = ["content_block_start", "content_block_stop"]
    assert others == ["message_start", *block, *block, "message_delta", "message_stop"]


def test_openai_s_responses(server: Served) -> None:
    body = {"input": "hello there", "max_output_tokens": 16, "temperature": 0}
    [item] = whole_of(server, "/v1/responses", body)["output"]
    assert item["type"] == "reasoning"
    events = events_of(server, "/v1/responses", body)
    assert [each["sequence_number"] for each in events] == list(range(len(events)))
    deltas = [each for each in events if each["type"] == "response.reasoning_text.delta"]
    assert "".join(each["delta"] for each in deltas) == item["content"][0]["text"]
    [streamed] = events[-1]["response"]["output"]
    assert streamed["content"] == item["content"]
    assert {each["item_id"] for each in deltas} == {streamed["id"]}


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_ollama_s_lines(server: Served, path: str) -> None:
    asked: dict[str, Any] = {"messages": MESSAGES} if path == "/api/chat" else {"prompt": "hello"}
    body = {**asked, "think": True, "options": {"num_predict": 16, "temperature": 0}}

    def told(line: Any) -> Any:
        return line["message"] if path == "/api/chat" else line

    whole = whole_of(server, path, body)
    lines = events_of(server, path, body)
    assert told(whole)["thinking"]
    assert "".join(told(line).get("thinking", "") for line in lines) == told(whole)["thinking"]
    assert all(line["created_at"] and line["model"] == "thinker" for line in lines)
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert lines[-1]["eval_count"] == whole["eval_count"] == 16


class FakeService:
    """Has a model, and counts nothing."""

    @property
    def metrics(self) -> FakeService:
        return self

    def answered(self, *_: Any) -> None: ...

    @asynccontextmanager
    async def model(self, name: str, *, keep_alive: float | None) -> AsyncIterator[str]:
        del keep_alive
        yield name


class Calling:
    """Answers with a call of a tool."""

    async def events(self, _: Any) -> AsyncIterator[Piece | Done]:
        yield Piece(0, "answer", "Let me see. ")
        yield Piece(0, "call", "weather", 0, "call1")
        yield Piece(0, "arguments", '{"city": "Rome"}', 0)
        call = ToolCall("call1", "weather", '{"city": "Rome"}')
        yield Done(0, ChatReply("Let me see. ", tool_calls=[call], finish_reason="tool_calls"))


def test_ollama_tells_calls_whole() -> None:
    job: Any = Calling()
    service: Any = FakeService()

    async def told() -> bytes:
        lines = _lines(service, "m", lambda _: job, _message, None)
        return b"".join([each async for each in lines])

    lines = [json.loads(line) for line in asyncio.run(told()).splitlines()]
    assert [line["message"].get("content") for line in lines] == ["Let me see. ", "", ""]
    [call] = lines[1]["message"]["tool_calls"]
    assert call["function"] == {"name": "weather", "arguments": {"city": "Rome"}}
    assert (lines[-1]["done"], lines[-1]["done_reason"]) == (True, "stop")
