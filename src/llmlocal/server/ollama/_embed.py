"""``POST /api/embed``, and ``/api/embeddings`` of older clients."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from llmlocal.server._http._body import read_fields
from llmlocal.server._http._patience import while_connected
from llmlocal.server._service import service_of
from llmlocal.server._vectors import embedded
from llmlocal.server.ollama._shapes import keep_alive

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["embed", "embeddings"]

_MOST_DIMENSIONS = 1 << 16


async def embed(request: Request) -> Response:
    """The vectors of texts."""
    service = service_of(request)
    started = time.perf_counter()
    fields = await read_fields(request)
    name = service.name_of(fields.needed_text("model"), "embed")
    texts = fields.texts("input")
    options: dict[str, Any] = {}
    options["truncate"] = True if fields.flag("truncate", default=True) else "error"
    if (dimensions := fields.whole("dimensions", 1, _MOST_DIMENSIONS)) is not None:
        options["dimensions"] = dimensions
    alive = keep_alive(fields)
    fields.finish({"options"}, {})
    work = embedded(service, name, texts, keep_alive=alive, **options)
    vectors, tokens = await while_connected(request, work)
    return JSONResponse(
        {
            "model": name,
            "embeddings": vectors.tolist(),
            "total_duration": int((time.perf_counter() - started) * 1e9),
            "load_duration": 0,
            "prompt_eval_count": tokens,
        }
    )


async def embeddings(request: Request) -> Response:
    """The vector of one text."""
    service = service_of(request)
    fields = await read_fields(request)
    name = service.name_of(fields.needed_text("model"), "embed")
    text = fields.needed_text("prompt")
    alive = keep_alive(fields)
    fields.finish({"options"}, {})
    work = embedded(service, name, [text], keep_alive=alive)
    vectors, _ = await while_connected(request, work)
    return JSONResponse({"embedding": vectors[0].tolist()})
