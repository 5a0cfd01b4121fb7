"""Schemas, tools and logprobs through OpenAI's, Anthropic's and Ollama's own clients."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import ollama
import openai
import pydantic
import pytest

from llmlocal import ModelPool
from llmlocal.server import create_app

from ..conftest import TinyPath
from .conftest import Served, serving

ASK: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
PARAMETERS: Any = {
    "type": "object",
    "properties": {"city": {"enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS: Any = [
    {
        "type": "function",
        "function": {"name": "weather", "description": "Tells it.", "parameters": PARAMETERS},
    }
]


class City(pydantic.BaseModel, extra="forbid"):
    name: str = pydantic.Field(max_length=6)
    size: int = pydantic.Field(ge=0, le=9)


@pytest.fixture(scope="module")
def server(tiny_path: TinyPath) -> Iterator[Served]:
    """With room for tools, and for what a model of random weights puts between quotes."""
    with (
        ModelPool([tiny_path("llama")], device="cpu", n_ctx=4096, n_threads=1) as pool,
        serving(create_app(pool)) as served,
    ):
        yield served


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def chat(client: openai.OpenAI, **options: Any) -> Any:
    asked = {"model": "tiny-llama", "messages": ASK, "max_tokens": 600, "temperature": 1.0}
    return client.chat.completions.create(**{**asked, **options})


def test_some_tools_are_allowed(client: openai.OpenAI) -> None:
    other: Any = {"type": "function", "function": {"name": "other", "parameters": PARAMETERS}}
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "weather"}}]}
    choice: Any = {"type": "allowed_tools", "allowed_tools": allowed}
    done = chat(client, tools=[*TOOLS, other], tool_choice=choice, max_tokens=600).choices[0]
    assert {call.function.name for call in done.message.tool_calls} == {"weather"}
    with pytest.raises(openai.BadRequestError, match="allowed_tools"):
        chat(client, tools=[other], tool_choice=choice)


def test_an_answer_is_parsed(client: openai.OpenAI) -> None:
    options: Any = {"model": "tiny-llama", "messages": ASK, "max_tokens": 600}
    done = client.chat.completions.parse(response_format=City, **options)
    city = done.choices[0].message.parsed
    assert city
    assert len(city.name) <= 6
    response = client.responses.parse(
        model="tiny-llama", input="x", text_format=City, max_output_tokens=600
    )
    assert response.output_parsed
    assert 0 <= response.output_parsed.size <= 9


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        ({"guided_choice": ["red", "blue"]}, ["red", "blue"]),
        ({"guided_regex": "a{3}"}, ["aaa"]),
        ({"guided_json": {"enum": ["x"]}}, ['"x"']),
        ({"guided_grammar": 'start: "yes" | "no"'}, ["yes", "no"]),
        ({"structured_outputs": {"choice": ["red", "blue"]}}, ["red", "blue"]),
        ({"json_schema": {"const": 7}}, ["7"]),
        ({"grammar": 'root ::= "on" | "off"'}, ["on", "off"]),
        ({"response_format": {"type": "json_object", "schema": {"const": 7}}}, ["7"]),
    ],
)
def test_other_servers_words_for_it_are_obeyed(
    client: openai.OpenAI, asked: dict[str, Any], allowed: list[str]
) -> None:
    done = chat(client, extra_body=asked, max_tokens=30)
    assert done.choices[0].message.content in allowed
    text = client.completions.create(
        model="tiny-llama", prompt="one", max_tokens=30, extra_body=asked
    )
    assert text.choices[0].text in allowed


def test_one_thing_can_be_obeyed(client: openai.OpenAI) -> None:
    asked = {"guided_regex": "a", "grammar": 'root ::= "a"'}
    with pytest.raises(openai.BadRequestError, match="one thing"):
        chat(client, extra_body=asked)
    with pytest.raises(openai.BadRequestError, match="structural_tag: this is not known"):
        chat(client, extra_body={"structured_outputs": {"structural_tag": "x"}})


def test_what_can_not_be_enforced_is_a_400(client: openai.OpenAI) -> None:
    schema = {"name": "x", "schema": {"type": "array", "items": {"not": {"type": "null"}}}}
    with pytest.raises(openai.BadRequestError, match=r"\$\.items\.not"):
        chat(client, response_format={"type": "json_schema", "json_schema": schema})


def test_a_tool_is_called(client: openai.OpenAI) -> None:
    done = chat(client, tools=TOOLS, tool_choice="required").choices[0]
    assert done.finish_reason == "tool_calls"
    [call] = done.message.tool_calls
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments)["city"] in ("Paris", "Rome")
    history = [
        *ASK,
        done.message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    assert chat(client, messages=history, tools=TOOLS, max_tokens=4).choices[0]


def test_a_call_in_a_stream(client: openai.OpenAI) -> None:
    choice = {"type": "function", "function": {"name": "weather"}}
    name, arguments, ids, reason = "", "", set(), None
    for chunk in chat(client, tools=TOOLS, tool_choice=choice, stream=True):
        assert not chunk.choices[0].delta.content
        for call in chunk.choices[0].delta.tool_calls or []:
            name += call.function.name or ""
            arguments += call.function.arguments or ""
            ids |= {call.id} - {None}
        reason = chunk.choices[0].finish_reason or reason
    assert name == "weather"
    assert json.loads(arguments)["city"] in ("Paris", "Rome")
    assert len(ids) == 1
    assert reason == "tool_calls"


def test_a_call_in_a_response_and_its_result(client: openai.OpenAI) -> None:
    tool: Any = {"type": "function", "strict": True, **TOOLS[0]["function"]}
    options: Any = {"model": "tiny-llama", "max_output_tokens": 600, "tools": [tool]}
    first = client.responses.create(input="Weather in Paris?", tool_choice="required", **options)
    [call] = [item for item in first.output if item.type == "function_call"]
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    options["max_output_tokens"] = 4
    second = client.responses.create(input=[result], previous_response_id=first.id, **options)
    assert second.usage
    assert first.usage
    assert second.usage.input_tokens > first.usage.input_tokens


def test_logprobs(client: openai.OpenAI) -> None:
    done = chat(client, logprobs=True, top_logprobs=3, max_tokens=5, temperature=0).choices[0]
    tokens = done.logprobs.content
    assert len(tokens) == 5
    for token in tokens:
        assert len(token.top_logprobs) == 3
        assert token.logprob == pytest.approx(token.top_logprobs[0].logprob)
        assert bytes(token.bytes).decode(errors="replace") == token.token
    chunks = list(chat(client, logprobs=True, max_tokens=5, temperature=0, stream=True))
    scored = [c.choices[0].logprobs for c in chunks if c.choices[0].logprobs]
    assert chunks[0].choices[0].logprobs  # with the text, not after it
    streamed = [token.token for each in scored for token in each.content]
    assert streamed == [token.token for token in tokens]
    options: Any = {"model": "tiny-llama", "max_tokens": 4, "temperature": 0}
    text = client.completions.create(prompt="one", logprobs=2, **options).choices[0]
    assert text.logprobs
    assert text.logprobs.tokens
    assert "".join(text.logprobs.tokens) == text.text


def test_anthropic_s_tools(server: Served) -> None:
    tool: Any = {"name": "weather", "description": "Tells it.", "input_schema": PARAMETERS}
    options: Any = {"model": "tiny-llama", "max_tokens": 600, "messages": ASK, "tools": [tool]}
    options["tool_choice"] = {"type": "any"}
    with anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0) as client:
        done = client.messages.create(**options)
        [block] = [block for block in done.content if block.type == "tool_use"]
        assert done.stop_reason == "tool_use"
        assert block.input["city"] in ("Paris", "Rome")
        with client.messages.stream(**options) as stream:
            final = stream.get_final_message()
        assert [each.type for each in final.content][-1] == "tool_use"
        result = {"type": "tool_result", "tool_use_id": block.id, "content": "sunny"}
        history = [
            *ASK,
            {"role": "assistant", "content": [block.model_dump(exclude_none=True)]},
            {"role": "user", "content": [result]},
        ]
        answer = {**options, "messages": history, "max_tokens": 4, "tool_choice": {"type": "auto"}}
        assert client.messages.create(**answer).usage.output_tokens <= 4


def test_ollama_s_formats_and_tools(server: Served) -> None:
    client = ollama.Client(host=server.url, trust_env=False)
    options: Any = {"num_predict": 600}
    done = client.chat("tiny-llama", ASK, format=City.model_json_schema(), options=options)
    assert City.model_validate_json(done.message.content or "").size <= 9
    answered = client.chat("tiny-llama", ASK, tools=TOOLS, options={"num_predict": 5})
    assert answered.done
    client._client.close()
