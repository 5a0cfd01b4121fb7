"""Streams of events to a client: server-sent events, and JSON lines.

A client that goes away ends the generator in the middle of its wait, which stops the engine within
a step; a client that reads slowly holds the generator back, so that nothing piles up here.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any

from starlette.responses import StreamingResponse

from llmlocal.server._http._errors import ApiError, api_error
from llmlocal.server._http._patience import while_connected

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["event_stream", "json_lines", "sse"]

_logger = logging.getLogger("llmlocal.server")

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_EVENTS_A_TURN = 4
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


def sse(data: object, event: str | None = None) -> bytes:
    """One server-sent event with JSON in it."""
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {as_json(data)}\n\n".encode()


def as_json(data: object) -> str:
    return _ENCODER.encode(data)


async def event_stream(
    request: Request, events: AsyncGenerator[bytes, None], on_error: Callable[[ApiError], bytes]
) -> StreamingResponse:
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
) -> StreamingResponse:
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
) -> StreamingResponse:
    first = await while_connected(request, _first(events))

    async def body() -> AsyncGenerator[bytes, None]:
        try:
            yield first
            n = 0
            async for event in events:
                yield event
                n += 1
                if n % _EVENTS_A_TURN == 0:
                    # Events may be ready faster than they are sent: others have their turn, and a
                    # client that has gone away is seen.
                    await asyncio.sleep(0)
        except Exception as exc:
            error = api_error(exc)
            if error.status == 500:
                _logger.exception("a stream failed")
            yield on_error(error)
        finally:
            await events.aclose()

    return StreamingResponse(body(), media_type=media_type, headers=_HEADERS)


async def _first(events: AsyncGenerator[bytes, None]) -> bytes:
    return await anext(events, b"")
