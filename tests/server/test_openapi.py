"""Nothing that a client sends gives a 500 or a hang: requests made from the server's own description."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
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
            case.body.pop("keep_alive", None)
        elif "model" in case.body:
            case.body["model"] = "tiny-llama"
        if case.path == "/v1/chat/completions":
            case.body["max_tokens"] = 2
    got = case.call(base_url=server.url, timeout=60)  # on a busy machine 10 s are no hang
    assert got.status_code in ALLOWED, got.text


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
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
            got: httpx.Response = client.post(path, json=body)
            assert got.status_code in ALLOWED, got.text

        attempt()
