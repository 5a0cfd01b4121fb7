"""Errors in OpenAI's words."""

from __future__ import annotations

from typing import Any

from llmlocal.server._http._errors import ApiError
from llmlocal.server._http._events import sse

__all__ = ["error_body", "error_event"]

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "service_unavailable",
}


def error_body(error: ApiError) -> dict[str, Any]:
    """The body of a response that tells of an error."""
    return {
        "error": {
            "message": error.message,
            "type": _TYPES.get(error.status, "invalid_request_error"),
            "param": error.param,
            "code": error.code,
        }
    }


def error_event(error: ApiError) -> bytes:
    """An error in the middle of a stream."""
    return sse(error_body(error))
