"""The application: routes, and what every response has in common.  ASGI, so it mounts anywhere."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from llmlocal._pool import ModelPool
from llmlocal.errors import ParameterError
from llmlocal.server import _tokens
from llmlocal.server._error_response import error_response
from llmlocal.server._http._errors import ApiError, api_error
from llmlocal.server._http._gate import Gate
from llmlocal.server._http._patience import ClientGoneError
from llmlocal.server._metrics import exposition
from llmlocal.server._openapi import openapi
from llmlocal.server._page import page, page_file
from llmlocal.server._service import Service, service_of
from llmlocal.server.anthropic import _messages as anthropic
from llmlocal.server.ollama import _embed as ollama_embed
from llmlocal.server.ollama import _generate as ollama
from llmlocal.server.ollama import _models as ollama_models
from llmlocal.server.openai._chat import chat_completions
from llmlocal.server.openai._completions import completions
from llmlocal.server.openai._embeddings import embeddings, rerank
from llmlocal.server.openai._models import list_models, show_model
from llmlocal.server.openai._responses import create_response, delete_response, get_response

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["create_app"]

_logger = logging.getLogger("llmlocal.server")
_CLIENT_CLOSED = 499  # As nginx has it; nobody is there to read it.

Handler = Callable[["Request"], Awaitable[Response]]


def create_app(
    models: Any,
    *,
    api_key: str | None = None,
    max_requests: int = 512,
    origins: Sequence[str] = (),
    **pool_options: Any,
) -> Starlette:
    """The server as an ASGI application, to run under uvicorn or to mount in another one.

    Args:
        models: A :class:`llmlocal.ModelPool`, which stays its owner's to close; or what one is
            made of: a loaded model, a name, a path, or a list of these.
        api_key: What clients must show, as a bearer token or ``x-api-key``; None: nothing.
        max_requests: Requests that are served or wait at once, >= 1; more get a 429.
        origins: Other sites whose pages may use the server from a browser, such as
            ``"https://app.example"``; ``"*"`` is any.
        **pool_options: As for :class:`llmlocal.ModelPool`.

    Raises:
        ParameterError: The key is empty; or an option of the pool is out of its range.

    Example:
        >>> import uvicorn
        >>> uvicorn.run(create_app("smollm2-135m-instruct"), port=8080)  # doctest: +SKIP
    """
    if api_key == "":
        raise ParameterError("api_key must not be empty; None lets everybody in")
    if isinstance(models, ModelPool):
        pool, is_ours = models, False
    else:
        listed = models if isinstance(models, list | tuple | dict) else [models]
        pool, is_ours = ModelPool(listed, **pool_options), True
    service = Service(pool, Gate(api_key, max_requests, frozenset(origins)))

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            if is_ours:
                pool.close()

    app = Starlette(
        routes=[
            _route("/v1/chat/completions", "POST", chat_completions),
            _route("/v1/completions", "POST", completions),
            _route("/v1/responses", "POST", create_response),
            _route("/v1/responses/{response}", "GET", get_response),
            _route("/v1/responses/{response}", "DELETE", delete_response),
            _route("/v1/embeddings", "POST", embeddings),
            _route("/v1/rerank", "POST", rerank),
            _route("/v1/models", "GET", list_models),
            _route("/v1/models/{model:path}", "GET", show_model),
            _route("/v1/messages", "POST", anthropic.messages),
            _route("/v1/messages/count_tokens", "POST", anthropic.count_tokens),
            _route("/api/chat", "POST", ollama.chat),
            _route("/api/generate", "POST", ollama.generate),
            _route("/api/embed", "POST", ollama_embed.embed),
            _route("/api/embeddings", "POST", ollama_embed.embeddings),
            _route("/api/tags", "GET", ollama_models.tags),
            _route("/api/show", "POST", ollama_models.show),
            _route("/api/ps", "GET", ollama_models.ps),
            _route("/api/pull", "POST", ollama_models.pull),
            _route("/api/version", "GET", ollama_models.version),
            _route("/tokenize", "POST", _tokens.tokenize),
            _route("/detokenize", "POST", _tokens.detokenize),
            _route("/tokenizer_info", "GET", _tokens.tokenizer_info),
            _route("/metrics", "GET", _metrics),
            Route("/health", _health),
            # Without a key: the page asks for it, and holds nothing by itself.
            Route("/openapi.json", openapi),
            Route("/", page),
            Route("/page/{file}", page_file),
        ],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=list(origins),
                allow_methods=["*"],
                allow_headers=["*"],
            )
        ]
        if origins
        else [],
        exception_handlers={HTTPException: _not_there, ApiError: _failed},
        lifespan=lifespan,
    )
    app.state.service = service
    return app


def _route(path: str, method: str, handler: Handler) -> Route:
    """An endpoint for those who have the key."""

    async def endpoint(request: Request) -> Response:
        service = service_of(request)
        try:
            service.gate.check(request)
            return await handler(request)
        except ClientGoneError:
            return Response(status_code=_CLIENT_CLOSED)
        except Exception as exc:
            error = api_error(exc)
            if error.status == 500:
                _logger.exception("%s %s failed", method, path)
            service.metrics.errors[str(error.status)] += 1
            return error_response(error, path)

    return Route(path, endpoint, methods=[method])


async def _not_there(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    why = f"{request.method} {path}: {exc.detail}; /openapi.json tells what there is"
    response = error_response(ApiError(exc.status_code, why), path)
    response.headers.update(exc.headers or {})
    return response


async def _failed(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, ApiError)
    return error_response(exc, request.scope["path"])


async def _health(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _metrics(request: Request) -> Response:
    service = service_of(request)
    gate = service.gate
    text = exposition(service.metrics, service.pool, inside=gate.inside, refused=gate.refused)
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4")
