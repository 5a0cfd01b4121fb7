"""The page at ``/``: static files of the package, behind a policy that lets nothing else in."""

from __future__ import annotations

import mimetypes
from importlib import resources
from typing import TYPE_CHECKING

from starlette.responses import Response

from llmlocal._quote import quote
from llmlocal.server._http._errors import ApiError

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["page", "page_file"]

_HEADERS = {
    # Nothing but the page's own files runs, and it talks to this server alone.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:;"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
_FILES = frozenset(
    {"app.js", "api.js", "index.html", "markdown.js", "store.js", "style.css", "view.js"}
)


async def page(_: Request) -> Response:
    """The page itself."""
    return _file("index.html")


async def page_file(request: Request) -> Response:
    """One of its files."""
    name = request.path_params["file"]
    if name not in _FILES:
        raise ApiError(404, f"the page has no file {quote(name)}")
    return _file(name)


def _file(name: str) -> Response:
    content = (resources.files(__package__) / "page" / name).read_bytes()
    kind = {".js": "text/javascript"}.get(name[name.rindex(".") :]) or mimetypes.guess_type(name)[0]
    return Response(content, media_type=kind, headers=_HEADERS)
