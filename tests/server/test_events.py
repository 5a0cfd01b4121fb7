"""Events on their way to a client, and clients that leave while they are awaited."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from llmlocal.server._http._events import GAP, Form, json_line, sse
from llmlocal.server._http._patience import ClientGoneError, Patience

FOREVER_S = 60


@pytest.mark.parametrize("text", ["", "x", 'a "b"\\\n\t\0', "\u2028 Grüße \U0001f600", GAP])
def test_a_form_writes_what_the_whole_event_would_be(text: str) -> None:
    def event(content: str) -> bytes:
        return sse({"id": 'a"b', "choices": [{"delta": {"content": content}}], "end": None}, "kind")

    assert Form(event(GAP)).filled(text) == event(text)


def test_a_form_may_have_several_gaps() -> None:
    def event(number: int | str, text: str) -> bytes:
        return json_line({"n": number, "100%s": "%d {0}", "text": text, "end": None})

    assert Form(event(GAP, GAP)).filled(7, "50% %s") == event(7, "50% %s")


class Client:
    """Sends nothing, until it hangs up."""

    def __init__(self) -> None:
        self._gone = asyncio.Event()

    def hang_up(self) -> None:
        self._gone.set()

    async def receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}


def test_a_client_that_hangs_up_ends_the_wait_and_leaves_the_task_alive() -> None:
    async def main() -> None:
        client = Client()
        asyncio.get_running_loop().call_soon(client.hang_up)
        with pytest.raises(ClientGoneError), Patience(client.receive):
            await asyncio.sleep(FOREVER_S)
        task = asyncio.current_task()
        assert task is not None
        if sys.version_info >= (3, 11):
            assert not task.cancelling()
        await asyncio.sleep(0)

    asyncio.run(main())


def test_a_client_that_was_gone_before_ends_it_too() -> None:
    async def main() -> None:
        client = Client()
        client.hang_up()
        with pytest.raises(ClientGoneError), Patience(client.receive):
            await asyncio.sleep(FOREVER_S)

    asyncio.run(main())


def test_work_that_is_done_is_not_undone_by_who_leaves_at_the_same_time() -> None:
    async def main() -> None:
        client, done = Client(), asyncio.Event()

        def hang_up_and_be_done() -> None:
            client.hang_up()
            done.set()

        with Patience(client.receive):
            await asyncio.sleep(0)
            asyncio.get_running_loop().call_soon(hang_up_and_be_done)
            await done.wait()
        for _ in range(5):
            await asyncio.sleep(0)

    asyncio.run(main())


def test_a_task_that_others_cancel_is_cancelled() -> None:
    async def main() -> None:
        client = Client()

        async def work() -> None:
            with Patience(client.receive):
                await asyncio.sleep(FOREVER_S)

        task = asyncio.ensure_future(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_what_goes_wrong_meanwhile_is_told() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    async def main() -> None:
        with pytest.raises(ZeroDivisionError), Patience(Client().receive):
            await fail()

    asyncio.run(main())
