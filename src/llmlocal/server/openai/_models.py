"""``GET /v1/models``, for OpenAI's clients and for Anthropic's, which ask at the same place."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from llmlocal.errors import ModelNotFoundError
from llmlocal.server._http._errors import ApiError
from llmlocal.server._service import service_of

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["list_models", "show_model"]


async def list_models(request: Request) -> Response:
    """All models, with aliases."""
    service = service_of(request)
    names = (*service.pool.names, *service.pool.aliases)
    models = [_model(name, service.started) for name in names]
    return JSONResponse({"object": "list", "data": models})


async def show_model(request: Request) -> Response:
    """One model."""
    name = request.path_params["model"]
    service = service_of(request)
    try:
        service.pool.name_of(name)
    except ModelNotFoundError as exc:
        raise ApiError(404, str(exc), param="model", code="model_not_found") from None
    return JSONResponse(_model(name, service.started))


def _model(name: str, created: int) -> dict[str, Any]:
    since = datetime.fromtimestamp(created, timezone.utc).isoformat().replace("+00:00", "Z")
    anthropic = {"type": "model", "display_name": name, "created_at": since}
    return {"id": name, "object": "model", "created": created, "owned_by": "llmlocal", **anthropic}
