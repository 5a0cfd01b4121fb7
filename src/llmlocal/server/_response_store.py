"""What ``/v1/responses`` remembers: the latest responses, in memory, with their conversations."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from llmlocal._quote import quote
from llmlocal.server._http._errors import ApiError

__all__ = ["ResponseStore", "StoredResponse"]

_MOST_STORED = 256


@dataclass(frozen=True)
class StoredResponse:
    """A response, and the conversation that it ends."""

    messages: list[dict[str, Any]]
    response: dict[str, Any]


class ResponseStore:
    """The latest responses, with the conversations that they end."""

    def __init__(self) -> None:
        self._stored: OrderedDict[str, StoredResponse] = OrderedDict()

    def put(self, messages: list[dict[str, Any]], response: dict[str, Any]) -> None:
        """Keep a response; the oldest gives way."""
        self._stored[response["id"]] = StoredResponse(messages, response)
        if len(self._stored) > _MOST_STORED:
            self._stored.popitem(last=False)

    def get(self, response_id: str, param: str | None = None) -> StoredResponse:
        """A response that was kept.

        Raises:
            ApiError: 404: it was not, or has given way.
        """
        stored = self._stored.get(response_id)
        if stored is None:
            why = (
                f"there is no response {quote(response_id, 80)}: the latest {_MOST_STORED} are kept"
            )
            raise ApiError(404, why, param=param, code="not_found")
        return stored

    def remove(self, response_id: str) -> None:
        """Forget a response."""
        self.get(response_id)
        del self._stored[response_id]
