"""ModelPool: models loaded on demand, unloaded when idle or when memory is needed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from llmlocal import EngineClosedError, ModelNotFoundError, ModelPool, OutOfMemoryError
from llmlocal._memory_use import MemoryUse
from llmlocal._pool import PoolEntry
from llmlocal._progress import Progress, ProgressCallback
from llmlocal.errors import ModelLoadError, ParameterError

from ..conftest import TinyPath
from .conftest import tiny


class Fake:
    """A model of some bytes."""

    def __init__(self, size: int = 100) -> None:
        self.size = size
        self.is_closed = False

    def memory(self) -> dict[str, MemoryUse]:
        return {"CPU": MemoryUse(self.size, 0, 0)}

    def close(self) -> None:
        self.is_closed = True


class Opener:
    """Opens fakes, and counts."""

    def __init__(self, size: int = 100) -> None:
        self.size = size
        self.opened: list[Fake] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.fails: list[Exception] = []

    def __call__(self, report: ProgressCallback) -> Fake:
        report(Progress("load", 250, 1000))
        self.entered.set()
        assert self.gate.wait(20)
        if self.fails:
            raise self.fails.pop()
        self.opened.append(Fake(self.size))
        return self.opened[-1]

    def entry(self, name: str) -> PoolEntry:
        return PoolEntry(name, self, needs=lambda: self.size)


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_model_is_loaded_once_for_all_who_wait() -> None:
    opener = Opener()
    opener.gate.clear()
    with ModelPool([opener.entry("m")]) as pool, ThreadPoolExecutor(8) as threads:

        def use() -> object:
            with pool.use("m") as model:
                return model

        results = [threads.submit(use) for _ in range(8)]
        assert opener.entered.wait(20)
        wait_until(lambda: pool.status()[0].users == 8)
        assert pool.status()[0].state == "loading"
        assert pool.status()[0].progress == 0.25
        opener.gate.set()
        assert {id(result.result()) for result in results} == {id(opener.opened[0])}
        assert pool.status()[0].state == "loaded"
        assert pool.status()[0].bytes == 100
    assert opener.opened[0].is_closed


def test_other_models_answer_while_one_loads() -> None:
    slow, fast = Opener(), Opener()
    with ModelPool([slow.entry("slow"), fast.entry("fast")]) as pool:
        with pool.use("fast"):
            pass
        slow.gate.clear()
        thread = threading.Thread(target=lambda: pool.use("slow").__enter__())
        thread.start()
        assert slow.entered.wait(20)
        with pool.use("fast") as model:
            assert model is fast.opened[0]
        slow.gate.set()
        thread.join(20)


def test_a_failed_load_is_told_to_all_and_tried_again() -> None:
    opener = Opener()
    opener.fails = [ModelLoadError("torn")]
    with ModelPool([opener.entry("m")]) as pool:
        with pytest.raises(ModelLoadError, match="torn"), pool.use("m"):
            pass
        assert pool.status()[0].state == "unloaded"
        assert pool.status()[0].users == 0
        with pool.use("m") as model:
            assert model is opener.opened[0]


def test_an_idle_model_is_unloaded_and_comes_back() -> None:
    opener = Opener()
    with ModelPool([opener.entry("m")], keep_alive=0.05) as pool:
        with pool.use("m"):
            first = opener.opened[0]
            time.sleep(0.1)  # In use for longer than that: it stays.
            assert not first.is_closed
        wait_until(lambda: first.is_closed)
        assert pool.status()[0].state == "unloaded"
        with pool.use("m", keep_alive=1000) as model:
            assert model is opener.opened[1]
        until = pool.status()[0].idle_until
        assert until is not None
        assert until > time.monotonic() + 900


@pytest.mark.parametrize("ever", [1e15, 10**400, float("inf")])
def test_a_time_that_no_clock_counts_is_for_ever(ever: float) -> None:
    """A wait of so long is an error, which would end the thread that unloads the others."""
    long, short = Opener(), Opener()
    with ModelPool([long.entry("long"), short.entry("short")], keep_alive=0.2) as pool:
        with pool.use("long", keep_alive=ever):
            pass
        assert pool.status()[0].idle_until is None
        with pool.use("short"):
            pass
        wait_until(lambda: short.opened[0].is_closed)
        assert not long.opened[0].is_closed


@pytest.mark.parametrize("wrong", [-1, float("nan"), "5m", True, [1]])
def test_a_time_that_is_none(wrong: Any) -> None:
    opener = Opener()
    with ModelPool([opener.entry("m")]) as pool:
        with pytest.raises(ParameterError, match="keep_alive"), pool.use("m", keep_alive=wrong):
            pass
        assert pool.status()[0].users == 0


def test_the_least_recently_used_makes_room() -> None:
    a, b, c = Opener(), Opener(), Opener()
    with ModelPool([a.entry("a"), b.entry("b"), c.entry("c")], max_memory=250) as pool:
        for name in ("a", "b", "a"):
            with pool.use(name):
                pass
        with pool.use("c"):
            assert b.opened[0].is_closed
            assert not a.opened[0].is_closed


def test_what_is_in_use_is_never_unloaded() -> None:
    a, b = Opener(), Opener()
    with ModelPool([a.entry("a"), b.entry("b")], max_memory=150) as pool, pool.use("a"):
        with pytest.raises(OutOfMemoryError, match="b needs 100 bytes"), pool.use("b"):
            pass
        assert not a.opened[0].is_closed
        assert not pool.unload("a")


def test_a_load_without_memory_unloads_the_idle_and_tries_again() -> None:
    a, b = Opener(), Opener()
    b.fails = [OutOfMemoryError("none left")]
    with ModelPool([a.entry("a"), b.entry("b")]) as pool:
        with pool.use("a"):
            pass
        with pool.use("b"):
            assert a.opened[0].is_closed


def test_a_cancelled_task_leaves_the_load_to_others() -> None:
    opener = Opener()
    opener.gate.clear()

    async def main(pool: ModelPool) -> object:
        async def use() -> object:
            async with pool.ause("m") as model:
                return model

        gone, stays = asyncio.ensure_future(use()), asyncio.ensure_future(use())
        await asyncio.to_thread(opener.entered.wait, 20)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        opener.gate.set()
        return await stays

    with ModelPool([opener.entry("m")]) as pool:
        assert asyncio.run(main(pool)) is opener.opened[0]
        assert pool.status()[0].users == 0


def test_names_and_aliases() -> None:
    opener = Opener()
    with ModelPool({"x": opener.entry("m")}, aliases={"gpt-4o": "x"}) as pool:
        with pool.use("gpt-4o") as model:
            assert model is opener.opened[0]
        assert pool.names == ("x",)
        with pytest.raises(ModelNotFoundError, match=r"no model 'y'; there are: x, gpt-4o"):
            pool.name_of("y")
    with pytest.raises(EngineClosedError, match="pool"), pool.use("x"):
        pass


@pytest.mark.parametrize(
    ("models", "options", "message"),
    [
        ([], {}, "at least one"),
        ([Opener().entry("m"), Opener().entry("m")], {}, "two models"),
        ([Opener().entry("m")], {"aliases": {"a": "b"}}, "alias 'a'"),
        ([Opener().entry("m")], {"keep_alive": -1}, "keep_alive must be >= 0"),
        ([3], {}, "a name, a path or a loaded model"),
    ],
)
def test_what_makes_no_pool(models: list[object], options: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        ModelPool(models, **options)  # type: ignore[arg-type]


def test_real_models_by_path_and_loaded(tiny_path: TinyPath) -> None:
    options: dict[str, Any] = {"device": "cpu", "n_ctx": 128, "n_threads": 1}
    with (
        tiny(tiny_path) as llm,
        ModelPool({"mine": llm, "other": tiny_path("llama")}, keep_alive=None, **options) as pool,
    ):
        with pool.use("mine") as mine, pool.use("other") as other:
            assert mine is llm
            text = other.generate("hello", max_tokens=4, temp=0)
            assert text == llm.generate("hello", max_tokens=4, temp=0)
        assert {each.name: each.state for each in pool.status()} == {
            "mine": "loaded",
            "other": "loaded",
        }
        assert not pool.unload("mine")
        pool.close()
        assert not llm.closed
