"""Answers that are longer than a queue, and than the time for which a server that stops waits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from llmlocal import LLM, ModelPool
from llmlocal.server import _run, create_app

from ..api.waiting import wait_until
from ..conftest import TinyPath
from .conftest import Serve, serving

# As good as endless for the model of the tests.
NO_END = {"2": -100}
LONG: Any = {"prompt": "x", "max_tokens": 100_000, "logit_bias": NO_END, "stream": True}


@pytest.fixture
def slow(tiny_path: TinyPath) -> Iterator[LLM]:
    options: Any = {"device": "cpu", "n_threads": 1, "n_parallel": 1, "progress": False}
    with LLM(tiny_path("llama"), n_ctx=120_000, **options) as llm:
        yield llm


def test_what_is_cut_at_the_end_is_told_so(
    slow: LLM, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_run, "GRACE_S", 0.1)
    with ModelPool({"m": slow}) as pool, ThreadPoolExecutor(2) as threads:
        with serving(create_app(pool)) as served:
            streamed = threads.submit(served.post, "/v1/completions", LONG)
            wait_until(lambda: slow.stats().sequences_active == 1)
            whole = threads.submit(served.post, "/v1/completions", {**LONG, "stream": False})
            wait_until(lambda: slow.stats().waiting == 1)
        *_, before, last = [line for line in streamed.result().text.splitlines() if line]
        assert "choices" in before
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "server_stops"
        assert whole.result().status_code == 503
        assert whole.result().json()["error"]["code"] == "server_stops"
    assert "Traceback" not in caplog.text


def test_those_who_wait_are_counted(slow: LLM, serve: Serve) -> None:
    served = serve(ModelPool({"m": slow}))

    def counted(waiting: int) -> bool:
        return f'llmlocal_requests_waiting{{model="m"}} {waiting}\n' in served.get("/metrics").text

    with ThreadPoolExecutor(2) as threads, served.client() as client:
        with client.stream("POST", "/v1/completions", json=LONG) as stream:
            lines = stream.iter_lines()
            assert "choices" in next(lines)
            answers = [
                threads.submit(served.post, "/v1/completions", {"prompt": "y"}) for _ in "ab"
            ]
            wait_until(lambda: counted(2))
        assert [answer.result().status_code for answer in answers] == [200, 200]
    wait_until(lambda: counted(0))
