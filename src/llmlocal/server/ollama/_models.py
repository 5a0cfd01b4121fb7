"""``/api/tags``, ``/api/show``, ``/api/ps``, ``/api/version`` and ``/api/pull``."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import threading
import time
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from llmlocal import ChatTemplate, Progress, __version__
from llmlocal._chat._output import find_formats
from llmlocal.errors import LLMLocalError
from llmlocal.server._http._body import read_fields
from llmlocal.server._http._events import json_line, json_lines
from llmlocal.server._http._patience import while_connected
from llmlocal.server._service import Service, service_of
from llmlocal.server.ollama._shapes import error_line

if TYPE_CHECKING:
    from starlette.requests import Request

    from llmlocal._pool import Kind
    from llmlocal.models import ModelInfo

__all__ = ["ps", "pull", "show", "tags", "version"]

_SECONDS_BETWEEN_REPORTS = 0.2
_A_CENTURY_S = 100 * 365 * 86400.0
_FILL_IN = ("tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id")


async def version(_: Request) -> Response:
    """The version of this server."""
    return JSONResponse({"version": __version__})


async def tags(request: Request) -> Response:
    """All models, with aliases."""
    service = service_of(request)
    names = (*service.pool.names, *service.pool.aliases)
    infos = await asyncio.to_thread(lambda: {name: _info(service, name) for name in names})
    return JSONResponse({"models": [_listed(name, info) for name, info in infos.items()]})


async def ps(request: Request) -> Response:
    """The models that are in memory, or on their way there."""
    service = service_of(request)
    now, utc = time.monotonic(), datetime.now(timezone.utc)
    models = []
    for each in service.pool.status():
        if each.state == "unloaded":
            continue
        # A model that stays for ever: clients show a time that has come as "stopping".
        left = _A_CENTURY_S if each.idle_until is None else each.idle_until - now
        listed = _listed(each.name, await asyncio.to_thread(_info, service, each.name))
        models.append(
            {
                **listed,
                "size": each.bytes,
                "size_vram": 0,
                "expires_at": (utc + timedelta(seconds=left)).isoformat(),
                "state": each.state,
                "progress": each.progress,
            }
        )
    return JSONResponse({"models": models})


async def show(request: Request) -> Response:
    """What a model is."""
    service = service_of(request)
    fields = await read_fields(request)
    name = service.any_name_of(fields.text("model") or fields.needed_text("name"))
    info = await asyncio.to_thread(_info, service, name)
    capabilities = await asyncio.to_thread(_capabilities, service.pool.kind_of(name), info)
    shown = {
        "modelfile": "",
        "parameters": "",
        "template": (info.chat_template or "") if info else "",
        "details": _details(info),
        "model_info": _plain(info.metadata) if info else {},
        "capabilities": capabilities,
    }
    return JSONResponse(shown)


async def pull(request: Request) -> Response:
    """Bring one of this server's models to its disk."""
    service = service_of(request)
    fields = await read_fields(request)
    name = service.any_name_of(fields.text("model") or fields.needed_text("name"))
    stream = fields.flag("stream", default=True)
    lines = _pulled(service, name)
    if stream:
        return await json_lines(request, lines, error_line)

    async def last() -> bytes:
        line = b""
        async for each in lines:
            line = each
        return line

    return Response(await while_connected(request, last()), media_type="application/json")


async def _pulled(service: Service, name: str) -> AsyncGenerator[bytes, None]:
    from llmlocal import models

    source = service.pool.source(name)
    reports: list[Progress] = []
    is_cancelled = threading.Event()

    def report(progress: Progress) -> bool:
        reports[:] = [progress]
        return not is_cancelled.is_set()

    yield json_line({"status": "pulling manifest"})
    if source is not None:
        work = asyncio.ensure_future(asyncio.to_thread(models.resolve, source, progress=report))
        try:
            while not work.done():
                await asyncio.wait([work], timeout=_SECONDS_BETWEEN_REPORTS)
                if reports and not work.done():
                    yield json_line(_progress(name, reports[0]))
            await work
        finally:
            is_cancelled.set()
    yield json_line({"status": "success"})


def _progress(name: str, progress: Progress) -> dict[str, Any]:
    status = {"download": f"pulling {name}", "verify": "verifying sha256 digest"}
    return {
        "status": status.get(progress.stage, progress.stage),
        "digest": _digest(name),
        "total": progress.total or 0,
        "completed": progress.done,
    }


def _info(service: Service, name: str) -> ModelInfo | None:
    """What the model's header says, if it is on disk."""
    from llmlocal import models

    source = service.pool.source(name)
    if source is None:
        return None
    try:
        return models.inspect(source, allow_download=False)
    except LLMLocalError:
        return None


def _capabilities(kind: Kind, info: ModelInfo | None) -> list[str]:
    """What a model can do here, in Ollama's words; clients choose by it."""
    if kind != "generate":
        return ["embedding"] if kind == "embed" else []
    found = ["completion"]
    if info is None:
        return found
    if any(name in info.metadata for name in _FILL_IN):
        found.append("insert")
    if info.chat_template:
        template = ChatTemplate(info.chat_template)
        with contextlib.suppress(LLMLocalError):
            find_formats(template)
            found.append("tools")
        with contextlib.suppress(LLMLocalError):
            found += ["thinking"] if template.reasoning else []
    return found


def _listed(name: str, info: ModelInfo | None) -> dict[str, Any]:
    return {
        "name": name,
        "model": name,
        "modified_at": datetime.fromtimestamp(_modified(info), timezone.utc).isoformat(),
        "size": (info.file_bytes or 0) if info else 0,
        "digest": _digest(name),
        "details": _details(info),
    }


def _modified(info: ModelInfo | None) -> float:
    try:
        return Path(info.source).stat().st_mtime if info else 0
    except OSError:
        return 0


def _digest(name: str) -> str:
    """Clients tell models apart by this; it is of the name, not of the file."""
    return hashlib.sha256(name.encode()).hexdigest()


def _details(info: ModelInfo | None) -> dict[str, Any]:
    family = info.architecture if info else ""
    return {
        "parent_model": "",
        "format": "gguf",
        "family": family,
        "families": [family] if family else [],
        "parameter_size": f"{info.parameters / 1e6:.0f}M" if info else "",
        "quantization_level": (info.quantisation or "") if info else "",
    }


def _plain(metadata: Any) -> dict[str, Any]:
    return {k: v for k, v in metadata.items() if isinstance(v, str | int | float | bool)}
