"""Anthropic's endpoints, through its own client over a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from .conftest import Served

MESSAGES: Any = [{"role": "user", "content": "hello there"}]
GREEDY = {"temperature": 0}


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0) as made:
        yield made


def ask(client: anthropic.Anthropic, **options: Any) -> Any:
    asked = {"model": "tiny-llama", "messages": MESSAGES, "max_tokens": 8, "extra_body": GREEDY}
    return client.messages.create(**{**asked, **options})


def test_a_message(client: anthropic.Anthropic) -> None:
    done = ask(client)
    assert done.type == "message"
    assert done.content[0].type == "text"
    assert done.content[0].text
    assert done.stop_reason == "max_tokens"
    assert done.usage.output_tokens == 8
    counted = client.messages.count_tokens(model="tiny-llama", messages=MESSAGES)
    assert counted.input_tokens == done.usage.input_tokens + done.usage.cache_read_input_tokens


def test_the_models(client: anthropic.Anthropic) -> None:
    model, alias = client.models.list()
    assert (model.id, alias.id) == ("tiny-llama", "gpt-tiny")
    assert (model.type, model.display_name) == ("model", "tiny-llama")
    assert model.created_at.tzinfo is not None
    assert client.models.retrieve("gpt-tiny").id == "gpt-tiny"


def test_a_stream_is_the_same_message(client: anthropic.Anthropic) -> None:
    whole = ask(client)
    options: Any = {"model": "tiny-llama", "max_tokens": 8, "extra_body": GREEDY}
    with client.messages.stream(messages=MESSAGES, **options) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == whole.content[0].text
    assert final.content[0].type == "text"
    assert final.stop_reason == "max_tokens"
    assert final.usage.output_tokens == 8


def test_a_system_and_blocks(client: anthropic.Anthropic) -> None:
    plain = ask(client, system="be brief")
    blocks = ask(
        client,
        system=[{"type": "text", "text": "be brief"}],
        messages=[{"role": "user", "content": [{"type": "text", "text": "hello there"}]}],
    )
    assert plain.content[0].text == blocks.content[0].text


def test_a_stop_sequence(client: anthropic.Anthropic) -> None:
    text = ask(client).content[0].text
    done = ask(client, stop_sequences=[text[3:6]])
    assert (done.stop_reason, done.stop_sequence) == ("stop_sequence", text[3:6])


def test_a_schema(client: anthropic.Anthropic) -> None:
    form = {"type": "json_schema", "schema": {"enum": ["red", "blue"]}}
    for asked in ({"output_config": {"format": form}}, {"extra_body": {"output_format": form}}):
        assert ask(client, **asked).content[0].text in ('"red"', '"blue"')
    with pytest.raises(anthropic.BadRequestError, match=r"output_config\.format\.schema"):
        ask(client, output_config={"format": {"type": "json_schema"}})
    with pytest.raises(anthropic.BadRequestError, match=r"output_config\.effort"):
        ask(client, output_config={"effort": "wild"})


def test_errors_are_its_own(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as missing:
        ask(client, model="claude")
    assert missing.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]
    with pytest.raises(anthropic.BadRequestError, match="only text"):
        ask(client, messages=[{"role": "user", "content": [{"type": "image", "source": {}}]}])
    with pytest.raises(anthropic.BadRequestError, match="only tools of the client"):
        ask(client, tools=[{"type": "web_search_20250305", "name": "web_search"}])
