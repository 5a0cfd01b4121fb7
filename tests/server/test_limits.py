"""Who may come in, what is too much, and clients that go away."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from llmlocal import LLM, ModelPool
from llmlocal._pool import PoolEntry
from llmlocal.errors import ModelLoadError
from llmlocal.server import _run
from llmlocal.server._http import _body

from ..conftest import TinyPath
from .conftest import Serve, Served, tiny
from .disconnects import disconnect

MESSAGES = [{"role": "user", "content": "hello"}]
LONG: dict[str, Any] = {"messages": MESSAGES, "max_tokens": 400, "temperature": 1.0, "seed": 3}


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b'{"a": NaN}', b"[" * 100_000, b'{"a":' * 500])
def test_what_is_no_object(server: Served, body: bytes) -> None:
    with server.client() as client:
        got = client.post("/v1/chat/completions", content=body)
    assert got.status_code == 400
    assert got.json()["error"]["code"] == "invalid_json"


def test_lone_surrogates_are_a_400(server: Served) -> None:
    body = b'{"messages": [{"role": "user", "content": "\\ud800"}]}'
    with server.client() as client:
        assert client.post("/v1/chat/completions", content=body).status_code == 400
        assert client.post("/v1/completions", content=b'{"prompt": "\\ud800"}').status_code == 400


def test_too_large_a_body(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_body, "MOST_BYTES", 1000)
    assert server.post("/v1/completions", {"prompt": "x" * 2000}).status_code == 413


def test_a_body_that_does_not_come(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_body, "BODY_S", 0.1)
    head = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{"
    with socket.create_connection(address_of(server), timeout=20) as connection:
        connection.sendall(head)
        assert b"408" in connection.recv(1000)


def test_who_sends_no_head_is_hung_up_on(serve: Serve, tiny_path: TinyPath) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_run, "HEAD_S", 0.1)
        served = serve(tiny_path("llama"), device="cpu")
        with socket.create_connection(address_of(served), timeout=20) as connection:
            connection.sendall(b"GET / HT")
            assert connection.recv(1000) == b""


def address_of(server: Served) -> tuple[str, int]:
    url = httpx.URL(server.url)
    return url.host, url.port or 0


def test_the_key(serve: Serve, tiny_path: TinyPath) -> None:
    served = serve(tiny_path("llama"), api_key="sesame", device="cpu", n_ctx=512)
    assert served.get("/health").status_code == 200
    for headers in ({}, {"authorization": "Bearer wrong"}, {"x-api-key": "sesam"}):
        got = served.get("/v1/models", headers=headers)
        assert got.status_code == 401
        assert got.json()["error"]["code"] == "invalid_api_key"
    assert served.get("/v1/models", headers={"authorization": "Bearer sesame"}).status_code == 200
    assert served.get("/v1/models", headers={"x-api-key": "sesame"}).status_code == 200


def test_pages_of_other_sites(serve: Serve, tiny_path: TinyPath, server: Served) -> None:
    other = {"origin": "https://app.example"}
    body = {**LONG, "max_tokens": 1}
    got = server.post("/v1/chat/completions", body, headers=other)
    assert (got.status_code, got.json()["error"]["code"]) == (403, "origin_not_allowed")
    assert "access-control-allow-origin" not in got.headers
    for own in ({"origin": server.url}, {**other, "sec-fetch-site": "same-origin"}, {}):
        assert server.post("/v1/chat/completions", body, headers=own).status_code == 200

    served = serve(tiny_path("llama"), device="cpu", n_ctx=512, origins=["https://app.example"])
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    with served.client() as client:
        allowed = client.options("/v1/chat/completions", headers={**other, **asks})
    assert allowed.status_code == 200
    got = served.post("/v1/chat/completions", body, headers=other)
    assert got.status_code == 200
    for each in (allowed, got):
        assert each.headers["access-control-allow-origin"] == "https://app.example"
    strange = {"origin": "https://other.example"}
    assert served.post("/v1/chat/completions", body, headers=strange).status_code == 403


def test_too_many_at_once(serve: Serve, tiny_path: TinyPath) -> None:
    with tiny(tiny_path) as llm:
        served = serve(ModelPool({"m": llm}), max_requests=2)
        gate = served.service.gate
        with gate.entered(), gate.entered():  # As by two requests that take long.
            got = served.post("/v1/chat/completions", LONG)
            assert got.status_code == 429
            assert int(got.headers["retry-after"]) >= 1
            assert served.get("/health").status_code == 200
        assert served.post("/v1/chat/completions", LONG).status_code == 200
        assert gate.inside == 0


def requests_running(llm: LLM) -> int:
    stats = llm.stats()
    return stats.sequences_active + stats.waiting


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("n", [1, 3])
def test_a_client_that_goes_away_stops_the_engine(
    serve: Serve, tiny_path: TinyPath, stream: bool, n: int
) -> None:
    with tiny(tiny_path) as llm:
        served = serve(ModelPool({"m": llm}))
        body = f'{{"messages":[{{"role":"user","content":"x"}}],"n":{n},"temperature":0,'
        # Enough for minutes, were it not for the client's leaving.
        body += f'"max_tokens":400,"logit_bias":{{"2":-100}},"stream":{str(stream).lower()}}}'
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(address_of(served), timeout=20) as connection:
            connection.sendall((head + body).encode())
            wait_until(lambda: served.service.gate.inside == 1)
        wait_until(lambda: served.service.gate.inside == 0)
        wait_until(lambda: requests_running(llm) == 0)


def test_a_model_that_fails_to_load_is_a_503(serve: Serve) -> None:
    def fail(_: object) -> Any:
        raise ModelLoadError("the file is torn")

    served = serve(ModelPool([PoolEntry("m", fail)]))
    got = served.post("/v1/chat/completions", {"messages": MESSAGES})
    assert got.status_code == 503
    assert got.json()["error"]["message"] == "the file is torn"
    assert served.post("/api/chat", {"model": "m", "messages": MESSAGES}).status_code == 503


def test_other_models_answer_while_one_loads(serve: Serve, tiny_path: TinyPath) -> None:
    go = threading.Event()

    def load(_: object) -> LLM:
        assert go.wait(20)
        return tiny(tiny_path)

    with tiny(tiny_path) as llm:
        models = {"slow": PoolEntry("slow", load), "fast": llm}
        body = {"messages": MESSAGES, "max_tokens": 2}
        with ModelPool(models) as pool, ThreadPoolExecutor(1) as threads:
            served = serve(pool)
            slow = threads.submit(served.post, "/v1/chat/completions", {**body, "model": "slow"})
            wait_until(lambda: served.get("/api/ps").json()["models"][0]["state"] == "loading")
            assert served.post("/v1/chat/completions", {**body, "model": "fast"}).status_code == 200
            go.set()
            assert slow.result().status_code == 200


def test_metrics_count(serve: Serve, tiny_path: TinyPath) -> None:
    with tiny(tiny_path) as llm:
        served = serve(ModelPool({"m": llm}))
        for _ in range(2):
            served.post(
                "/v1/chat/completions", {"messages": MESSAGES, "max_tokens": 3, "temperature": 0}
            )
        served.post("/v1/chat/completions", {"messages": []})
        text = served.get("/metrics").text
    assert 'llmlocal_requests_total{model="m"} 2' in text
    assert 'llmlocal_tokens_total{model="m",kind="completion"} 6' in text
    assert 'llmlocal_errors_total{status="400"} 1' in text
    assert 'llmlocal_first_token_seconds_count{model="m"} 2' in text


def test_unknown_paths_and_methods(server: Served) -> None:
    """Each protocol's client can read the error."""
    assert server.get("/v1/chat/completions").status_code == 405
    for path in ("/v1/nothing", "/api/nothing", "/v1/messages/batches"):
        got = server.get(path)
        assert got.status_code == 404
        body = got.json()
        message = body["error"] if path == "/api/nothing" else body["error"]["message"]
        assert message == f"GET {path}: Not Found; /openapi.json tells what there is"
    assert body["type"] == "error"


def test_requests_with_random_disconnects_leave_nothing(
    serve: Serve, tiny_path: TinyPath, caplog: pytest.LogCaptureFixture
) -> None:
    with tiny(tiny_path) as llm:
        served = serve(ModelPool({"m": llm}))
        left = disconnect(served, llm, requests=200, clients=16)
        assert left.outcomes["hung up"] > 20
        assert set(left.outcomes) == {"hung up", "200"}
        assert (left.running, left.inside) == (0, 0)
        # Events that are ready are not written to those who are gone.
        assert not [each for each in caplog.records if "socket.send() raised" in each.message]
        assert left.resident[-1] < left.resident[0] * 1.1 + 20e6
        assert served.post("/v1/chat/completions", {"messages": MESSAGES}).status_code == 200


def test_an_offer_of_http_2_is_passed_over(server: Served) -> None:
    # Java's client makes one with every request; a parser that believes it drops the body.
    body = b'{"prompt": "x", "max_tokens": 1}'
    head = (
        b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nUpgrade: h2c\r\n"
        b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n\r\n"
    ) % len(body)
    with socket.create_connection(address_of(server), timeout=20) as connection:
        connection.sendall(head + body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
