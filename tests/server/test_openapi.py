"""Nothing that a client sends gives a 500 or a hang: requests made from the server's own description."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from llmlocal.server._openapi import openapi_document

from .conftest import Served

schemathesis = pytest.importorskip("schemathesis")

DOCUMENT = openapi_document()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
ALLOWED = {200, 400, 401, 404, 405, 408, 413, 415, 422, 429, 503}
# Answers are not what is tried here, so they are short.
LIMITS = {"max_tokens": 2, "max_completion_tokens": 2, "max_output_tokens": 2, "n": 1}


def test_every_endpoint_is_described(server: Served) -> None:
    assert server.get("/openapi.json").json() == DOCUMENT
    routes = {route.path.replace(":path", "") for route in server.app.routes}
    pages = {"/", "/page/{file}", "/openapi.json"}
    assert routes - pages == set(DOCUMENT["paths"])


@SCHEMA.parametrize()  # type: ignore[untyped-decorator]
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_gives_a_500(case: Any, server: Served) -> None:
    if isinstance(case.body, dict):
        limits = {name: value for name, value in LIMITS.items() if name in case.body}
        case.body = {**case.body, **limits}
        if case.path.startswith("/api/"):
            case.body["options"] = {"num_predict": 2}
            case.body["model"] = "tiny-llama"
        elif "model" in case.body:
            case.body["model"] = "tiny-llama"
        if case.path == "/v1/chat/completions":
            case.body["max_tokens"] = 2
    got = case.call(base_url=server.url, timeout=60)  # on a busy machine 10 s are no hang
    assert got.status_code in ALLOWED, got.text


# Numbers that no clock, array or C type holds, and texts that are no UTF-8.
ODD = st.sampled_from(
    [10**18, 2**63, 2**64, 10**30, 10**400, -(10**400), 1e15, 1e18, 1e308, -1e308, 5e-324, -0.0]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | ODD
    | st.sampled_from(
        ["\ud800", "\x00", "1" * 400, "9" * 39 + "h", "1e400", "-1", "\n", "{{", "nan"]
    )
    | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
BODIES = {
    path: sorted(item["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"])
    for path, item in DOCUMENT["paths"].items()
    if "post" in item
}


FUNCTION: dict[str, object] = {
    "name": "look",
    "description": "Looks.",
    "parameters": {"type": "object", "properties": {"at": {"type": "string", "maxLength": 3}}},
}
CALL: dict[str, object] = {"name": "look", "arguments": "{}"}
SCHEMA_OF_ANSWER: dict[str, object] = {
    "type": "object",
    "properties": {
        "n": {"type": "integer", "minimum": 1, "maximum": 3, "multipleOf": 1},
        "s": {"type": "string", "minLength": 0, "maxLength": 3, "pattern": "a*"},
        "l": {"type": "array", "items": {"enum": [1, "x"]}, "minItems": 0, "maxItems": 2},
    },
    "required": ["n"],
}
# Bodies with something in every corner, each of which is then replaced by anything.
RICH: dict[str, dict[str, object]] = {
    "/v1/chat/completions": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "x"}], "name": "me"},
            {
                "role": "assistant",
                "content": "y",
                "reasoning_content": "z",
                "tool_calls": [{"id": "1", "type": "function", "function": CALL}],
            },
            {"role": "tool", "tool_call_id": "1", "content": "y"},
            {"role": "user", "content": "x"},
        ],
        "max_tokens": 2,
        "stop": ["a"],
        "seed": 1,
        "timeout": 5,
        "logit_bias": {"1": 1.0},
        "logprobs": True,
        "top_logprobs": 1,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "a", "schema": SCHEMA_OF_ANSWER},
        },
        "chat_template_kwargs": {"a": [1]},
        "stream": True,
        "stream_options": {"include_usage": True},
        "user": "me",
    },
    "/v1/completions": {
        "prompt": [[1, 2], "x"],
        "max_tokens": 2,
        "temperature": 0.5,
        "top_p": 0.5,
        "top_k": 3,
        "dry_multiplier": 0.5,
        "logit_bias": {"1": 1.0},
        "structured_outputs": {"json": SCHEMA_OF_ANSWER},
    },
    "/v1/responses": {
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "x"}]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "x"}]},
            {"type": "function_call", "call_id": "1", **CALL},
            {"type": "function_call_output", "call_id": "1", "output": "x"},
        ],
        "max_output_tokens": 2,
        "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA_OF_ANSWER}},
        "metadata": {"a": "b"},
        "reasoning": {"effort": "low"},
        "include": ["message.output_text.logprobs"],
    },
    "/v1/messages": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "x"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "x"}]},
            {"role": "user", "content": "x"},
        ],
        "max_tokens": 2,
        "system": [{"type": "text", "text": "x"}],
        "thinking": {"type": "disabled"},
        "metadata": {"user_id": "x"},
        "stop_sequences": ["x"],
    },
    "/api/chat": {
        "model": "tiny-llama",
        "messages": [
            {"role": "user", "content": "x", "thinking": "y"},
            {"role": "assistant", "content": "", "tool_calls": [{"function": CALL}]},
            {"role": "tool", "tool_name": "look", "content": "y"},
        ],
        "format": SCHEMA_OF_ANSWER,
        "options": {"num_predict": 2, "stop": ["a"], "seed": 1, "temperature": 0.5, "top_k": 3},
        "think": False,
        "keep_alive": "5m",
        "logprobs": True,
    },
    "/api/generate": {
        "model": "tiny-llama",
        "prompt": "x",
        "options": {"num_predict": 2, "repeat_last_n": 1, "mirostat": 0},
        "keep_alive": 60,
    },
    "/tokenize": {"messages": [{"role": "user", "content": "x"}]},
    "/detokenize": {"tokens": [1, 2]},
}


def corners(body: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where there is a value in a body, as the keys and places that lead to it."""
    inner = body.items() if isinstance(body, dict) else enumerate(body)
    found = []
    for key, value in inner:
        found.append((*at, key))
        if isinstance(value, dict | list):
            found += corners(value, (*at, key))
    return found


def replaced(body: Any, at: tuple[Any, ...], value: object) -> Any:
    """A copy of a body with another value in one place."""
    first, *rest = at
    made = dict(body) if isinstance(body, dict) else list(body)
    made[first] = replaced(made[first], tuple(rest), value) if rest else value
    return made


def answer_to(client: httpx.Client, path: str, body: object) -> httpx.Response:
    """The response to a body, which may hold what no UTF-8 says: escaped, as JSON allows."""
    headers = {"content-type": "application/json"}
    return client.post(path, content=json.dumps(body), headers=headers)


def is_long(at: tuple[Any, ...], value: object) -> bool:
    """Whether a replaced limit asks for an answer that takes a while."""
    is_limit = at[-1] in (*LIMITS, "num_predict")
    return is_limit and (value is None or (isinstance(value, int | float) and not 0 <= value <= 2))


@pytest.mark.parametrize("path", RICH)
def test_any_value_in_any_corner(path: str, server: Served) -> None:
    places = corners(RICH[path])

    with server.client() as client:
        assert answer_to(client, path, RICH[path]).status_code == 200

        @settings(max_examples=60, deadline=None)
        @given(st.sampled_from(places), VALUES)
        def attempt(at: tuple[Any, ...], value: object) -> None:
            assume(not is_long(at, value))
            got = answer_to(client, path, replaced(RICH[path], at, value))
            assert got.status_code in ALLOWED, got.text
            assert "internal_error" not in got.text  # as the last event of a stream

        attempt()
        assert server.get("/health").status_code == 200


@pytest.mark.parametrize(
    ("path", "at", "value", "message"),
    [
        ("/v1/chat/completions", ("seed",), 10**400, "seed: must be a whole number"),
        ("/v1/chat/completions", ("timeout",), 10**400, "timeout: must be a number; got 1000"),
        ("/v1/chat/completions", ("messages", 1, "tool_calls"), True, "has the tool_calls True"),
        ("/v1/chat/completions", ("messages", 1, "tool_calls", 0), [1], "has the tool_calls [[1]]"),
        ("/v1/chat/completions", ("user",), "\ud800", "the body is not JSON"),
        ("/v1/responses", ("metadata", "a"), "\udfff", "the body is not JSON"),
        ("/api/generate", ("keep_alive",), -(10**400), None),  # A negative one is for ever.
    ],
)
def test_what_once_was_a_500(
    path: str, at: tuple[Any, ...], value: object, message: str | None, server: Served
) -> None:
    with server.client() as client:
        got = answer_to(client, path, replaced(RICH[path], at, value))
    assert got.status_code == (400 if message else 200), got.text
    assert message is None or message in got.text


@pytest.mark.parametrize("path", RICH)
@pytest.mark.parametrize("depth", [90, 2000, 100_000])
def test_any_depth(path: str, depth: int, server: Served) -> None:
    with server.client() as client:
        for opened, closed in (("[", "]"), ('{"a":', "}")):
            deep = f"{opened * depth}1{closed * depth}"
            for name in RICH[path]:
                body = json.dumps({**RICH[path], name: "HERE"}).replace('"HERE"', deep)
                headers = {"content-type": "application/json"}
                got = client.post(path, content=body, headers=headers)
                assert got.status_code in ALLOWED, (name, got.text)
                assert "internal_error" not in got.text, name


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://["},
        {"origin": "http://[::1"},
        {"origin": "\u00e9"},
        {"origin": "null"},
        {"authorization": "Bearer \u00e9"},
        {"content-type": "x" * 1000},
    ],
)
def test_any_header(headers: dict[str, str], server: Served) -> None:
    raw = {name.encode(): value.encode() for name, value in headers.items()}
    body = json.dumps({"prompt": "x", "max_tokens": 1}).encode()
    with server.client() as client:
        got = client.post("/v1/completions", content=body, headers=raw)
    assert got.status_code in (200, 401, 403)


@pytest.mark.parametrize("path", BODIES)
def test_any_value_in_any_field(path: str, server: Served) -> None:
    good: dict[str, object] = {
        "model": "tiny-llama",
        "messages": [{"role": "user", "content": "x"}],
        "prompt": "x",
    }
    good |= {"input": "x", "tokens": [1]}
    limits = {**LIMITS, "options": {"num_predict": 2}}

    with server.client() as client:

        @settings(max_examples=25, deadline=None)
        @given(st.sampled_from(BODIES[path]), VALUES)
        def attempt(name: str, value: object) -> None:
            known = {key: each for key, each in {**good, **limits}.items() if key in BODIES[path]}
            body = {**known, name: value}
            if name in LIMITS and isinstance(value, int | float) and value > 2:
                body[name] = 2
            got = answer_to(client, path, body)
            assert got.status_code in ALLOWED, got.text

        attempt()
