"""Blocking work of tasks: in a thread of the loop, while there are any."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from llmlocal._in_thread import in_thread

_CONTEXT: ContextVar[str] = ContextVar("context")


def test_it_is_done_in_another_thread_with_the_context_of_the_task() -> None:
    async def main() -> tuple[int, str]:
        _CONTEXT.set("ours")
        return await in_thread(lambda: (threading.get_ident(), _CONTEXT.get()))

    thread, context = asyncio.run(main())
    assert thread != threading.get_ident()
    assert context == "ours"


def test_it_is_done_here_where_no_thread_can_be_had() -> None:
    async def main() -> int:
        ended = ThreadPoolExecutor()
        ended.shutdown()
        asyncio.get_running_loop().set_default_executor(ended)
        return await in_thread(threading.get_ident)

    assert asyncio.run(main()) == threading.get_ident()


def test_an_error_of_the_work_is_not_taken_for_one_of_the_threads() -> None:
    calls = []

    def work() -> None:
        calls.append(1)
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        asyncio.run(in_thread(work))
    assert calls == [1]
