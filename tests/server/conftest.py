"""A server over a tiny model, on a real socket of this machine."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from llmlocal import LLM, ModelPool
from llmlocal.server import create_app
from llmlocal.server._run import listen, run

from ..conftest import TinyPath

pytest.importorskip("starlette")


class Served:
    """An application that is being served."""

    def __init__(self, url: str, app: Any) -> None:
        self.url = url
        self.app = app
        self.service = app.state.service

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, **options)

    def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        with self.client() as client:
            return client.post(path, json=body, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        with self.client() as client:
            return client.get(path, **options)


Serve = Callable[..., Served]


@contextlib.contextmanager
def serving(app: Any) -> Iterator[Served]:
    """Serve an application in a thread of this process, until the block ends."""
    ready = threading.Event()
    listening = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    servers: list[Any] = []
    thread = threading.Thread(
        target=run,
        args=(app, listening),
        kwargs={"on_ready": ready.set, "on_made": servers.append},
        daemon=True,
    )
    thread.start()
    assert ready.wait(30)
    try:
        yield Served(url, app)
    finally:
        servers[0].should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves what ``create_app`` takes, until the test ends."""
    with contextlib.ExitStack() as stack:

        def start(models: Any, **options: Any) -> Served:
            return stack.enter_context(serving(create_app(models, **options)))

        yield start


@pytest.fixture(scope="module")
def server(tiny_path: TinyPath) -> Iterator[Served]:
    """A server with one tiny model, called ``tiny-llama``, and an alias, ``gpt-tiny``."""
    options: dict[str, Any] = {"device": "cpu", "n_ctx": 512, "n_threads": 1}
    with (
        ModelPool([tiny_path("llama")], aliases={"gpt-tiny": "tiny-llama"}, **options) as pool,
        serving(create_app(pool)) as served,
    ):
        yield served


def tiny(path: TinyPath, name: str = "llama") -> LLM:
    return LLM(path(name), device="cpu", n_ctx=512, n_threads=1, progress=False)
