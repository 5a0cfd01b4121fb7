"""The JSON body of a request, read within a size and a time."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from llmlocal.server._http._errors import ApiError
from llmlocal.server._http._fields import Fields

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["read_fields"]

MOST_BYTES = 32 * 1024 * 1024
BODY_S = 30.0
_MOST_DEPTH = 100


async def read_fields(request: Request) -> Fields:
    """The fields of the JSON object that is the body.

    Raises:
        ApiError: 413 for too large a body, 408 for one that does not come, 400 for what is no object.
    """
    try:
        body = await asyncio.wait_for(_read(request), BODY_S)
    except asyncio.TimeoutError:
        raise ApiError(408, f"the body did not arrive within {BODY_S:.0f} s") from None
    try:
        # Large ones take a while: not in the loop's thread.
        parsed = _parse(body) if len(body) < 64 * 1024 else await asyncio.to_thread(_parse, body)
    except (ValueError, RecursionError) as exc:
        raise ApiError(400, f"the body is not JSON: {exc!s:.200}", code="invalid_json") from None
    if not isinstance(parsed, dict):
        raise ApiError(400, "the body must be a JSON object", code="invalid_json")
    return Fields(parsed)


async def _read(request: Request) -> bytes:
    chunks = bytearray()
    async for chunk in request.stream():
        chunks += chunk
        if len(chunks) > MOST_BYTES:
            raise ApiError(413, f"the body is larger than {MOST_BYTES:,} bytes")
    return bytes(chunks)


def _parse(body: bytes) -> Any:
    parsed = json.loads(body.decode(), parse_constant=_no_constant)
    _check_depth(parsed)
    if b"\\u" in body:
        # Half a surrogate pair can be written in JSON, and nowhere else.
        json.dumps(parsed, ensure_ascii=False).encode()
    return parsed


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _check_depth(value: object) -> None:
    level: list[object] = [value]
    for _ in range(_MOST_DEPTH):
        level = [
            inner
            for each in level
            for inner in (
                each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
            )
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise ValueError(f"it is nested more than {_MOST_DEPTH} deep")
