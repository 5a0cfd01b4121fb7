"""Streams of events to a client: server-sent events, and JSON lines.

A client that goes away ends the generator in the middle of its wait, which stops the engine within
a step; a client that reads slowly holds the generator back, so that nothing piles up here.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any

from starlette.responses import StreamingResponse

from llmlocal.server._http._errors import ApiError, api_error
from llmlocal.server._http._patience import ClientGoneError, Patience, while_connected

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Message, Receive, Scope, Send

__all__ = ["GAP", "Form", "event_stream", "json_lines", "sse"]

_logger = logging.getLogger("llmlocal.server")

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_EVENTS_A_TURN = 16
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


def sse(data: object, event: str | None = None) -> bytes:
    """One server-sent event with JSON in it."""
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {as_json(data)}\n\n".encode()


def as_json(data: object) -> str:
    return _ENCODER.encode(data)


GAP = secrets.token_hex(16)
"""Stands where a :class:`Form` has its gap; nothing else in an event is like it."""


class Form:
    """An event that is written many times with another text: what stands around it is encoded once.

    Args:
        event: The event with :data:`GAP` as the text.
    """

    def __init__(self, event: bytes) -> None:
        self._before, self._after = event.split(f'"{GAP}"'.encode())

    def filled(self, text: str) -> bytes:
        """The event with this text."""
        return b"".join((self._before, as_json(text).encode(), self._after))


async def event_stream(
    request: Request, events: AsyncGenerator[bytes, None], on_error: Callable[[ApiError], bytes]
) -> Response:
    """A response of server-sent events.

    What fails before the first event is raised, so that it gets a status code of its own; what fails
    later is the last event.

    Args:
        request: Whose client is to stay connected.
        events: Events as :func:`sse` writes them.
        on_error: Writes an error as this protocol's event.
    """
    return await _stream(request, events, on_error, "text/event-stream")


async def json_lines(
    request: Request,
    lines: AsyncGenerator[dict[str, Any], None],
    on_error: Callable[[ApiError], dict[str, Any]],
) -> Response:
    """A response of JSON objects, one a line; as :func:`event_stream`."""

    async def written() -> AsyncGenerator[bytes, None]:
        try:
            async for line in lines:
                yield f"{as_json(line)}\n".encode()
        finally:
            await lines.aclose()

    def written_error(error: ApiError) -> bytes:
        return f"{as_json(on_error(error))}\n".encode()

    return await _stream(request, written(), written_error, "application/x-ndjson")


async def _stream(
    request: Request,
    events: AsyncGenerator[bytes, None],
    on_error: Callable[[ApiError], bytes],
    media_type: str,
) -> Response:
    first = await while_connected(request, anext(events, b""))
    return _EventStream(first, events, on_error, media_type)


class _EventStream(StreamingResponse):
    """Sends events as they come: one message of ASGI for each, from the task of the request."""

    def __init__(
        self,
        first: bytes,
        events: AsyncGenerator[bytes, None],
        on_error: Callable[[ApiError], bytes],
        media_type: str,
    ) -> None:
        super().__init__(events, media_type=media_type, headers=_HEADERS)
        self._first = first
        self._events = events
        self._on_error = on_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        try:
            with Patience(receive):
                await send(start)
                await self._send_events(send)
                await send({"type": "http.response.body", "body": b""})
        except ClientGoneError:
            pass
        finally:
            await self._events.aclose()

    async def _send_events(self, send: Send) -> None:
        try:
            await send(_part(self._first))
            n = 0
            async for event in self._events:
                await send(_part(event))
                n += 1
                if n % _EVENTS_A_TURN == 0:
                    # Events may be ready faster than they are sent: others have their turn, and a
                    # client that has gone away is seen.
                    await asyncio.sleep(0)
        except Exception as exc:
            error = api_error(exc)
            if error.status == 500:
                _logger.exception("a stream failed")
            await send(_part(self._on_error(error)))


def _part(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}
