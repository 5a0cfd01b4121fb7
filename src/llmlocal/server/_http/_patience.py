"""Work for as long as its client waits for it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive

__all__ = ["ClientGoneError", "Patience", "while_connected"]

T = TypeVar("T")


class ClientGoneError(Exception):
    """The client hung up before its answer was there; nobody will read what is returned."""


class Patience:
    """A ``with`` block that is left by a ClientGoneError when the client hangs up.

    What the block awaits is cancelled, as a timeout would.

    Args:
        receive: Of the request, whose body was read.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._is_over = False
        self._is_gone = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._watch = asyncio.ensure_future(self._gone())
        self._watch.add_done_callback(self._stop)

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _stop(self, watch: asyncio.Future[None]) -> None:
        if not self._is_over and not watch.cancelled():
            self._is_gone = True
            self._task.cancel()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over = True
        self._watch.cancel()
        if not self._is_gone:
            return
        # Somebody else may have cancelled the task as well, and then it is not ours to go on.
        is_ours = sys.version_info < (3, 11) or self._task.uncancel() == 0
        if is_ours and kind is asyncio.CancelledError:
            raise ClientGoneError from None


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """Do the work; stop it when the client goes away.

    Raises:
        ClientGoneError: It did.
    """
    with Patience(request.receive):
        return await work
