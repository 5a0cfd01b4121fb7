"""What all endpoints work with: the models, who may come in, and what is counted."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from llmlocal.errors import ModelNotFoundError
from llmlocal.server._http._errors import ApiError
from llmlocal.server._metrics import Metrics
from llmlocal.server._response_store import ResponseStore

if TYPE_CHECKING:
    from starlette.requests import Request

    from llmlocal._pool import Kind, ModelPool
    from llmlocal.server._http._gate import Gate

__all__ = ["Service", "service_of"]

_WORK: Mapping[str, str] = {
    "generate": "generate text",
    "embed": "embed texts",
    "rerank": "rank documents",
}
_REMEDY: Mapping[str, str] = {
    "embed": "; give the server one with --embedder",
    "rerank": "; give the server one with --reranker",
}


@dataclass
class Service:
    """The server behind the endpoints."""

    pool: ModelPool
    gate: Gate
    metrics: Metrics = field(default_factory=Metrics)
    responses: ResponseStore = field(default_factory=ResponseStore)
    started: int = field(default_factory=lambda: int(time.time()))

    def name_of(self, asked: str | None, kind: Kind = "generate") -> str:
        """The name of the model to use; None: the first of its kind.

        Raises:
            ApiError: 404: there is none of this name; 400: it can't do this.
        """
        able = self.pool.of_kind(kind)
        if asked is None:
            if not able:
                why = f"no model here can {_WORK[kind]}{_REMEDY.get(kind, '')}"
                raise ApiError(404, why, code="model_not_found")
            return able[0]
        name = self.any_name_of(asked)
        if name not in able:
            can = f"; for that there is: {', '.join(able)}" if able else ""
            raise ApiError(400, f"the model {name!r} can't {_WORK[kind]}{can}", param="model")
        return name

    def any_name_of(self, asked: str | None) -> str:
        """The name of a model of any kind; None: the first.

        Raises:
            ApiError: 404: there is none of this name.
        """
        if asked is None:
            return self.pool.names[0]
        try:
            # Ollama's clients put ":latest" after names that have no colon.
            return self.pool.name_of(asked.removesuffix(":latest"))
        except ModelNotFoundError as exc:
            raise ApiError(404, str(exc), param="model", code="model_not_found") from None

    @asynccontextmanager
    async def model(self, name: str, *, keep_alive: float | None = None) -> AsyncIterator[Any]:
        """A model for one request, loaded first where need be."""
        with self.gate.entered(), self.metrics.request(name):
            async with self.pool.ause(name, keep_alive=keep_alive) as model:
                yield model


def service_of(request: Request) -> Service:
    """The service of the application that got this request."""
    return cast("Service", request.app.state.service)
