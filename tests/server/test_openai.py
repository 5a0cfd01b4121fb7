"""OpenAI's endpoints, through its own client over a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from llmlocal import LLM, ModelPool

from ..tiny_models import fill_in_model, llama
from .conftest import Serve, Served

MESSAGES: Any = [{"role": "user", "content": "hello there"}]


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def chat(client: openai.OpenAI, **options: Any) -> Any:
    asked = {"model": "tiny-llama", "messages": MESSAGES, "max_tokens": 8, "temperature": 0}
    return client.chat.completions.create(**{**asked, **options})


def ids_of(server: Served, text: str) -> list[int]:
    body = {"prompt": text, "add_special": False}
    return list(server.post("/tokenize", body).json()["tokens"])


def test_a_chat(client: openai.OpenAI) -> None:
    done = chat(client)
    assert done.object == "chat.completion"
    assert done.model == "tiny-llama"
    assert done.choices[0].message.role == "assistant"
    assert done.choices[0].message.content
    assert done.choices[0].finish_reason == "length"
    assert done.usage.completion_tokens == 8
    assert done.usage.total_tokens == done.usage.prompt_tokens + 8
    assert done.usage.prompt_tokens_details.cached_tokens <= done.usage.prompt_tokens
    assert done.usage.completion_tokens_details.reasoning_tokens == 0


def test_a_stream_joins_to_the_same(client: openai.OpenAI) -> None:
    whole = chat(client).choices[0].message.content
    chunks = list(chat(client, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "length"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 8
    assert all(c.usage is None for c in chunks[:-1])


def test_an_event_of_a_fast_answer_holds_many_tokens(client: openai.OpenAI) -> None:
    # llama.cpp's grammar: no end of the answer before its limit.
    options: Any = {"max_tokens": 400, "extra_body": {"grammar": 'root ::= "a"{400,}'}}
    chunks = list(chat(client, stream=True, stream_options={"include_usage": True}, **options))
    assert chunks[-1].usage.completion_tokens >= 100
    assert len(chunks) < chunks[-1].usage.completion_tokens / 2


def test_several_answers(client: openai.OpenAI) -> None:
    done = chat(client, n=3, temperature=1.5, seed=5)
    texts = [choice.message.content for choice in done.choices]
    assert [choice.index for choice in done.choices] == [0, 1, 2]
    assert len(set(texts)) == 3
    assert done.usage.completion_tokens == 24
    assert chat(client, temperature=1.5, seed=5).choices[0].message.content == texts[0]
    streamed: dict[int, str] = {0: "", 1: "", 2: ""}
    for chunk in chat(client, n=3, temperature=1.5, seed=5, stream=True):
        streamed[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert list(streamed.values()) == texts


def test_an_alias_and_the_list(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {"tiny-llama", "gpt-tiny"}
    assert client.models.retrieve("gpt-tiny").id == "gpt-tiny"
    assert chat(client, model="gpt-tiny").model == "tiny-llama"
    with pytest.raises(openai.NotFoundError, match="there are: tiny-llama, gpt-tiny"):
        chat(client, model="gpt-4")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4")


def test_stop_strings_and_biases(server: Served, client: openai.OpenAI) -> None:
    whole = chat(client).choices[0].message.content
    stop = whole[3:6]
    done = chat(client, stop=[stop]).choices[0]
    assert done.message.content == whole[: whole.index(stop)]
    assert done.finish_reason == "stop"
    banned = chat(client, logit_bias={str(ids_of(server, whole)[0]): -100}).choices[0]
    assert not banned.message.content.startswith(whole[:4])


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"n": 0}, "n"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"stop": [1]}, "stop"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"messages": []}, "messages"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"extra_body": {"web_search_options": {"a": 1}}}, "web_search_options"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"extra_body": {"min_tokens": 5}}, "min_tokens"),
        ({"extra_body": {"best_of": 5}}, "best_of"),
        ({"max_tokens": -2}, "max_tokens"),
    ],
)
def test_what_can_not_be_honoured_is_named(
    client: openai.OpenAI, options: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, **options)
    assert caught.value.param == param
    assert param in caught.value.message


def test_harmless_and_unknown_fields_pass(client: openai.OpenAI) -> None:
    body = {"metadata": {"a": "b"}, "user": "me", "store": False, "some_vendor_field": 3}
    body |= {"ignore_eos": False, "min_tokens": 0, "stop_token_ids": []}
    assert chat(client, extra_body=body).choices[0].message.content


def test_too_long_a_conversation(client: openai.OpenAI) -> None:
    messages = [{"role": "user", "content": "word " * 2000}]
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, messages=messages)
    assert caught.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError):
        list(chat(client, messages=messages, stream=True))


def test_no_limit(client: openai.OpenAI) -> None:
    """An answer ends where the model ends it, or with the context: 512 tokens."""
    endless: Any = {"extra_body": {"grammar": 'root ::= "a"{600,}'}}
    for limit in (None, -1):
        used = chat(client, max_tokens=limit, **endless).usage
        assert used.completion_tokens > 400
    used = respond(client, input="hello", max_output_tokens=None, **endless).usage
    assert used.output_tokens > 400


def test_what_other_servers_call_no_limit(client: openai.OpenAI) -> None:
    plain = chat(client, seed=3, temperature=1.5, extra_body={"top_k": 0}).choices[0].message
    off = chat(client, seed=3, temperature=1.5, extra_body={"top_k": -1}).choices[0].message
    assert off.content == plain.content
    options: Any = {"repeat_last_n": -1, "repeat_penalty": 5}
    assert chat(client, extra_body=options).choices[0].message.content


def test_a_long_prompt_of_ids(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model="tiny-llama", prompt=[5] * 3000)
    assert caught.value.code == "context_length_exceeded"


def test_too_many_answers(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="n: times 17 prompts is more than 2048"):
        client.completions.create(model="tiny-llama", prompt=["a"] * 17, n=128)


def test_completions(server: Served, client: openai.OpenAI) -> None:
    options: Any = {"model": "tiny-llama", "max_tokens": 6, "temperature": 0}
    done = client.completions.create(prompt=["one", "two"], n=2, echo=True, **options)
    assert [choice.index for choice in done.choices] == [0, 1, 2, 3]
    assert [choice.text[:3] for choice in done.choices] == ["one", "one", "two", "two"]
    assert done.usage
    assert done.usage.completion_tokens == 24
    alone = client.completions.create(prompt="one", **options).choices[0].text
    assert "one" + alone == done.choices[0].text
    ids = server.post("/tokenize", {"prompt": "one"}).json()["tokens"]
    assert client.completions.create(prompt=ids, **options).choices[0].text == alone
    chunks = client.completions.create(prompt="one", stream=True, **options)
    assert "".join(chunk.choices[0].text for chunk in chunks) == alone
    with pytest.raises(openai.BadRequestError, match="prompt"):
        client.completions.create(prompt=[["x"]], **options)  # type: ignore[arg-type]


def test_echo_with_logprobs(server: Served, client: openai.OpenAI) -> None:
    options: Any = {"model": "tiny-llama", "max_tokens": 3, "temperature": 0, "logprobs": 2}
    alone = client.completions.create(prompt="one two", **options).choices[0]
    told = client.completions.create(prompt="one two", echo=True, n=2, **options).choices
    for choice in told:
        scored = choice.logprobs
        assert alone.logprobs
        assert scored
        assert choice.text == "one two" + alone.text
        assert "".join(scored.tokens or []) == choice.text
        assert scored.tokens[-3:] == alone.logprobs.tokens
        assert len(scored.token_logprobs) == len(scored.top_logprobs) == len(scored.tokens)
        assert [choice.text.index(scored.tokens[0]), *scored.text_offset[1:]] == scored.text_offset
        assert scored.text_offset[-3] == len("one two")
        assert all(len(each) == 2 for each in scored.top_logprobs if each is not None)
    ids = ids_of(server, "one two")
    only = client.completions.create(prompt=ids, echo=True, **{**options, "max_tokens": 0})
    scored = only.choices[0].logprobs
    assert scored
    assert len(scored.tokens) == len(ids)
    chunks = list(client.completions.create(prompt=ids, echo=True, stream=True, **options))
    texts = [
        token for chunk in chunks if (given := chunk.choices[0].logprobs) for token in given.tokens
    ]
    assert texts == told[0].logprobs.tokens
    single = client.completions.create(prompt=ids[:1], echo=True, **options).choices[0]
    assert single.logprobs
    assert len(single.logprobs.tokens) == 4
    chunks = list(client.completions.create(prompt=ids[:1], echo=True, stream=True, **options))
    assert chunks[0].choices[0].logprobs.tokens == single.logprobs.tokens[:1]


def test_reasoning_is_counted(serve: Serve, tmp_path: Path) -> None:
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }} {{ m.content }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant <think>{% endif %}{# </think> #}"
    )
    path = (
        llama().changed(settings={"tokenizer.chat_template": template}).write(tmp_path / "r.gguf")
    )
    with LLM(path, device="cpu", n_ctx=512, progress=False) as llm:
        served = serve(ModelPool({"tiny-llama": llm}))
        with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
            done = chat(client, logit_bias={"2": -100})
            assert done.choices[0].message.reasoning_content
            assert done.usage.completion_tokens_details.reasoning_tokens == 8
            answered = respond(client, input="hello")
            used = answered.usage
            assert used.output_tokens_details.reasoning_tokens == used.output_tokens


def test_a_gap_is_filled(serve: Serve, tmp_path: Path) -> None:
    with LLM(fill_in_model(tmp_path), device="cpu", n_ctx=512, progress=False) as llm:
        filled = llm.infill("the quick", "brown", max_tokens=6, temp=0)
        served = serve(ModelPool({"m": llm}))
        with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
            options: Any = {"model": "m", "suffix": "brown", "max_tokens": 6, "temperature": 0}
            done = client.completions.create(prompt="the quick", echo=True, **options)
            assert done.choices[0].text == f"the quick{filled}"
            chunks = client.completions.create(prompt="the quick", stream=True, **options)
            assert "".join(chunk.choices[0].text for chunk in chunks) == filled
            for wrong in ({"prompt": [[1]]}, {"prompt": "a", "echo": True, "logprobs": 1}):
                with pytest.raises(openai.BadRequestError, match="suffix"):
                    client.completions.create(**{**options, **wrong})


def test_a_gap_needs_a_model_that_fills_it(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="can't fill in"):
        client.completions.create(model="tiny-llama", prompt="a", suffix="b")


def respond(client: openai.OpenAI, **options: Any) -> Any:
    asked = {"model": "tiny-llama", "max_output_tokens": 8, "temperature": 0}
    return client.responses.create(**{**asked, **options})


def test_responses(client: openai.OpenAI) -> None:
    done = respond(client, input="hello there", instructions="be brief")
    assert done.object == "response"
    assert done.status == "incomplete"
    assert done.incomplete_details.reason == "max_output_tokens"
    assert done.output_text
    assert done.usage.output_tokens == 8
    items = [{"role": "user", "content": [{"type": "input_text", "text": "hello there"}]}]
    assert respond(client, input=items, instructions="be brief").output_text == done.output_text


def test_a_stream_of_a_response(client: openai.OpenAI) -> None:
    whole = respond(client, input="hello there")
    events = list(respond(client, input="hello there", stream=True))
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.incomplete",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == whole.output_text
    assert events[-1].response.output_text == whole.output_text


def test_the_logprobs_of_a_response(client: openai.OpenAI) -> None:
    asked: Any = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
    [message] = respond(client, input="hello", **asked).output
    scored = message.content[0].logprobs
    assert len(scored) == 8
    assert "".join(each.token for each in scored) == message.content[0].text
    assert all(len(each.top_logprobs) == 2 for each in scored)
    events = list(respond(client, input="hello", stream=True, **asked))
    told = [each.logprobs for each in events if each.type == "response.output_text.delta"]
    assert told[0]
    [final] = events[-1].response.output
    assert [each.token for each in final.content[0].logprobs] == [each.token for each in scored]
    [plain] = respond(client, input="hello").output
    assert plain.content[0].logprobs == []


def test_a_response_is_stored_and_continued(client: openai.OpenAI) -> None:
    first = respond(client, input="hello there")
    assert client.responses.retrieve(first.id).output_text == first.output_text
    second = respond(client, input="and then?", previous_response_id=first.id)
    history = [
        {"role": "user", "content": "hello there"},
        {"role": "assistant", "content": first.output_text},
        {"role": "user", "content": "and then?"},
    ]
    assert second.output_text == respond(client, input=history).output_text
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        respond(client, input="x", previous_response_id=first.id)
    unstored = respond(client, input="hello there", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(unstored.id)


def test_input_of_other_kinds_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="only text"):
        respond(client, input=[{"role": "user", "content": [{"type": "input_image"}]}])
    with pytest.raises(openai.BadRequestError, match="background"):
        respond(client, input="x", background=True)


def test_the_wire_is_server_sent_events(server: Served) -> None:
    body = {"messages": MESSAGES, "max_tokens": 2, "temperature": 0, "stream": True}
    with server.client() as client, client.stream("POST", "/v1/chat/completions", json=body) as got:
        assert got.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in got.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert all(json.loads(line.removeprefix("data: ")) for line in lines[:-1])
