"""What went wrong with a request, as a status code and a text; each protocol has its own wording."""

from __future__ import annotations

from llmlocal.errors import (
    ContextOverflowError,
    DeviceError,
    DownloadError,
    EngineError,
    LLMLocalError,
    ModelError,
    ModelNotFoundError,
    RequestError,
)

__all__ = ["CUT", "ApiError", "api_error", "refused"]


class ApiError(Exception):
    """A request that can't be served.

    Args:
        status: The HTTP status code.
        message: What failed, the value, and what to do.
        param: The parameter that it is about.
        code: A word that programs can tell it by, such as ``"context_length_exceeded"``.
        retry_after: Seconds after which another try makes sense.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """What the response says beside its body."""
        return {} if self.retry_after is None else {"retry-after": str(self.retry_after)}


CUT = ApiError(503, "the server stops; ask again later", code="server_stops", retry_after=10)
"""For requests that run longer than a server that stops waits for them."""


def refused(param: str, why: str) -> ApiError:
    """A parameter that can't be honoured: a 400 that names it."""
    return ApiError(400, f"{param}: {why}", param=param, code="unsupported_parameter")


def api_error(error: Exception) -> ApiError:
    """An error of the package's as its caller should see it; anything else is ours to mend: a 500."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, ContextOverflowError):
        return ApiError(400, str(error), param="messages", code="context_length_exceeded")
    if isinstance(error, RequestError):
        return ApiError(400, str(error), code="invalid_value")
    if isinstance(error, ModelNotFoundError):
        return ApiError(404, str(error), param="model", code="model_not_found")
    if isinstance(error, (ModelError, EngineError, DeviceError, DownloadError)):
        return ApiError(503, str(error), code="model_unavailable", retry_after=10)
    if isinstance(error, LLMLocalError):
        return ApiError(400, str(error))
    return ApiError(500, "the server failed; its log has the reason", code="internal_error")
