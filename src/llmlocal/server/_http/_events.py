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
from typing import TYPE_CHECKING

from starlette.responses import StreamingResponse

from llmlocal.server._http._errors import CUT, ApiError, api_error
from llmlocal.server._http._patience import ClientGoneError, Patience, while_connected

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Message, Receive, Scope, Send

__all__ = ["GAP", "Form", "as_json", "event_stream", "json_line", "json_lines", "sse"]

_logger = logging.getLogger("llmlocal.server")

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_EVENTS_A_TURN = 16
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


def sse(data: object, event: str | None = None) -> bytes:
    """One server-sent event with JSON in it."""
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {as_json(data)}\n\n".encode()


def json_line(data: object) -> bytes:
    """A line with JSON in it."""
    return f"{as_json(data)}\n".encode()


def as_json(data: object) -> str:
    """JSON text without spaces."""
    return _ENCODER.encode(data)


GAP = secrets.token_hex(16)
"""Stands where a :class:`Form` has a gap; nothing else in an event is like it."""


class Form:
    """An event that is written many times with other values: what stands around them is encoded once.

    Args:
        event: The event with :data:`GAP` as each of these values.

    Example:
        >>> Form(json_line({"model": "tiny", "text": GAP})).filled("Once upon a time").strip()
        b'{"model":"tiny","text":"Once upon a time"}'
    """

    def __init__(self, event: bytes) -> None:
        self._around = event.decode().replace("%", "%%").replace(f'"{GAP}"', "%s")

    def filled(self, *values: str | int) -> bytes:
        """The event with these values, in the order of the gaps."""
        return (self._around % tuple(map(as_json, values))).encode()


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
    request: Request, lines: AsyncGenerator[bytes, None], on_error: Callable[[ApiError], bytes]
) -> Response:
    """A response of lines as :func:`json_line` writes them; else as :func:`event_stream`."""
    return await _stream(request, lines, on_error, "application/x-ndjson")


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
                await send(_END)
        except ClientGoneError:
            pass
        except asyncio.CancelledError:
            # By the server that stops.  Its client should not take what has come for the whole.
            await send(_part(self._on_error(CUT)))
            await send(_END)
            raise
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


_END: Message = {"type": "http.response.body", "body": b""}


def _part(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}
