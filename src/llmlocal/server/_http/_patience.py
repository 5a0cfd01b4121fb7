"""Work for as long as its client waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["ClientGoneError", "while_connected"]

T = TypeVar("T")


class ClientGoneError(Exception):
    """The client hung up before its answer was there; nobody will read what is returned."""


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """Do the work; stop it when the client goes away.

    Raises:
        ClientGoneError: It did.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientGoneError
    finally:
        for each in (task, gone):
            each.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
