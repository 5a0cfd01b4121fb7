"""Who may come in, and how many at once."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from llmlocal.server._http._errors import ApiError
from llmlocal.server._http._origins import check_origin

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["Gate"]


class Gate:
    """Lets requests in that have the key, up to a number at once.

    Args:
        api_key: What clients must show, as ``Authorization: Bearer KEY`` or ``x-api-key: KEY``;
            None: nothing.
        most: Requests that may be inside at once, waiting ones included.
        origins: Other sites whose pages may come, too.
    """

    def __init__(
        self, api_key: str | None, most: int, origins: Collection[str] = frozenset()
    ) -> None:
        self._key = None if api_key is None else api_key.encode()
        self._most = most
        self._origins = origins
        self.inside = 0
        self.refused = 0

    def check(self, request: Request) -> None:
        """Raise an ApiError: 403 for another site's page, 401 for a client without the key."""
        check_origin(request, self._origins)
        if self._key is None:
            return
        shown = request.headers.get("x-api-key")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if shown is None and scheme.lower() == "bearer":
            shown = token.strip()
        # In constant time: how long it takes must not tell how much of it is right.
        if shown is None or not hmac.compare_digest(shown.encode(), self._key):
            raise ApiError(
                401,
                "a wrong API key, or none: send it as 'Authorization: Bearer KEY'",
                code="invalid_api_key",
            )

    @contextmanager
    def entered(self) -> Iterator[None]:
        """A place inside, for as long as the request takes.

        Raises:
            ApiError: 429: there are too many already.
        """
        if self.inside >= self._most:
            self.refused += 1
            raise ApiError(
                429,
                f"{self.inside} requests are being served or wait, which is the limit; try later",
                code="rate_limit_exceeded",
                retry_after=1 + self.inside // 64,
            )
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1
