"""Pages of other sites, whose scripts run in the browser of somebody who can reach the server."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from llmlocal.server._http._errors import ApiError

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["check_origin"]


def check_origin(request: Request, allowed: Collection[str]) -> None:
    """Raise an ApiError, 403, for the page of another site; a browser tells of it in ``Origin``.

    Without this, any page that is open on this machine could put its server to work.

    Args:
        request: What came.
        allowed: Origins of pages that may; ``"*"`` is any.
    """
    origin = request.headers.get("origin")
    if origin is None or origin in allowed or "*" in allowed:
        return
    # Behind a proxy the server may be known to it by another name than to the browser.
    is_own = request.headers.get("sec-fetch-site") == "same-origin"
    if is_own or _host_of(origin) == request.headers.get("host"):
        return
    raise ApiError(
        403,
        f"pages of {origin:.200} are not let in; llmlocal serve --allow-origin {origin:.200} does",
        code="origin_not_allowed",
    )


def _host_of(origin: str) -> str:
    """Host and port of an origin; empty where it is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:  # Such as "http://[".
        return ""
