"""Whether the network may be used at all: the switches that users of the hub's own library know."""

from __future__ import annotations

import os

from ...errors import DownloadError

__all__ = ["require_online"]

_SWITCHES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_ON = frozenset({"1", "on", "true", "yes"})


def require_online(what: str) -> None:
    """Check that the environment does not forbid requests.

    Args:
        what: What would be fetched, for the message.

    Raises:
        DownloadError: It does; no request has been made.
    """
    for switch in _SWITCHES:
        if os.environ.get(switch, "").strip().lower() in _ON:
            message = (
                f"{what} is not fetched, because {switch}={os.environ[switch]} is set: unset it, "
                "or use a model that is on disk (`llmlocal models` lists them)"
            )
            raise DownloadError(message)
