"""Errors in the words of the protocol whose endpoint was asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.responses import JSONResponse

from llmlocal.server._http._errors import ApiError
from llmlocal.server.anthropic._shapes import error_body as anthropic_error
from llmlocal.server.ollama._shapes import error_body as ollama_error
from llmlocal.server.openai._errors import error_body as openai_error

__all__ = ["error_response"]

ErrorBody = Callable[[ApiError], dict[str, Any]]
_WORDS: dict[str, ErrorBody] = {"/api/": ollama_error, "/v1/messages": anthropic_error}


def error_response(error: ApiError, path: str) -> JSONResponse:
    """An error as a response.

    Args:
        error: What went wrong.
        path: What was asked; it need not exist.
    """
    words = next((words for start, words in _WORDS.items() if path.startswith(start)), openai_error)
    return JSONResponse(words(error), error.status, error.headers)
