"""One request, followed through its redirects by hand, as a stream.

By hand, because three things have to be watched at each step: a token stays with the server it
is for, encryption is not given up, and the hub tells size and digest before it sends one on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from ...errors import DownloadError
from .._names._url import is_url, origin_of, shown
from ._retry import Policy

if TYPE_CHECKING:
    import httpx

__all__ = ["Linked", "Reply", "Request", "make_client", "open_reply"]

MAX_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SHA256 = re.compile(r'"?([0-9a-f]{64})"?')


@dataclass(frozen=True)
class Linked:
    """What the hub says of a file before it redirects to where the bytes are.

    Attributes:
        size: Bytes.
        sha256: Digest.
    """

    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Reply:
    """The answer at the end of the redirects, without its body.

    Attributes:
        status: HTTP status.
        headers: By lower-case name.
        linked: What the hub said on the way.
        url: The last URL, without what may be secret.
        had_token: Whether a token was sent to this last server.
    """

    status: int
    headers: Mapping[str, str]
    linked: Linked
    url: str
    had_token: bool = False


@dataclass(frozen=True)
class Request:
    """A GET to be sent.

    Attributes:
        client: From :func:`make_client`.
        url: Where to begin.
        token: Sent to the URL's own server only, None for none.
        headers_for: Further headers, given what the hub has said so far.
    """

    client: httpx.Client
    url: str
    token: str | None
    headers_for: Callable[[Linked], Mapping[str, str]] = lambda _: {}


def make_client(policy: Policy) -> httpx.Client:
    """A client with the environment's proxies and certificates.

    Raises:
        DownloadError: The environment names a proxy that cannot be used.
    """
    import httpx

    timeout = httpx.Timeout(policy.stall_timeout_s, connect=policy.connect_timeout_s)
    # Ranges and sizes are of the bytes as stored, so no encoding is asked for.
    headers = {"User-Agent": f"llmlocal/{_version()}", "Accept-Encoding": "identity"}
    try:
        return httpx.Client(timeout=timeout, headers=headers)
    except (ValueError, ImportError, OSError) as exc:
        message = f"the proxy or certificate settings in the environment cannot be used: {exc}"
        raise DownloadError(message) from exc


def open_reply(request: Request) -> tuple[httpx.Response, Reply]:
    """Send the request and follow its redirects; the caller closes the response.

    Raises:
        DownloadError: A redirect leads nowhere, in circles, or to an unencrypted server.
        httpx.HTTPError: The connection failed.
    """
    client, url, token = request.client, request.url, request.token
    linked = Linked()
    for _ in range(MAX_REDIRECTS + 1):
        headers = dict(request.headers_for(linked))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        response = client.send(client.build_request("GET", url, headers=headers), stream=True)
        linked = _linked(response.headers, linked)
        if response.status_code not in _REDIRECTS:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return response, Reply(
                response.status_code, headers, linked, shown(url), token is not None
            )
        response.close()
        next_url = urljoin(url, response.headers.get("location", ""))
        _require_followable(url, next_url)
        if origin_of(next_url) != origin_of(url):
            token = None
        url = next_url
    message = f"{shown(url)} redirects in circles"
    raise DownloadError(message)


def _version() -> str:
    try:
        return metadata.version("llmlocal")
    except metadata.PackageNotFoundError:  # pragma: no cover - run from a source tree
        return "0"


def _require_followable(url: str, next_url: str) -> None:
    if next_url == url or not is_url(next_url):
        message = f"{shown(url)} redirects in a loop, or to an address that is not http(s)"
        raise DownloadError(message)
    if origin_of(url)[0] == "https" and origin_of(next_url)[0] != "https":
        message = f"{shown(url)} redirects to the unencrypted {shown(next_url)}"
        raise DownloadError(message)


def _linked(headers: Mapping[str, str], before: Linked) -> Linked:
    size = headers.get("x-linked-size", "")
    digest = _SHA256.fullmatch(headers.get("x-linked-etag", ""))
    return Linked(
        int(size) if size.isdecimal() else before.size,
        digest.group(1) if digest else before.sha256,
    )
