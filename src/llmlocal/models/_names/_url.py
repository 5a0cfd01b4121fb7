"""URLs of models: what may be fetched, what may be shown, and what file one names."""

from __future__ import annotations

import os
import re
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from ..._quote import quote
from ...errors import ParameterError
from ._pasted import right_form
from ._safe import safe_filename

__all__ = [
    "at_endpoint",
    "filename_of",
    "hub_endpoint",
    "is_on_hub",
    "is_url",
    "origin_of",
    "shown",
]

_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_HUB = "https://huggingface.co"
_PORTS = {"http": 80, "https": 443}


def is_url(text: str) -> bool:
    """Whether the text is meant as a URL that can be fetched."""
    return _SCHEME.match(text) is not None


def hub_endpoint() -> str:
    """Where the model hub is: ``HF_ENDPOINT``, else huggingface.co; without a slash at the end."""
    return (os.environ.get("HF_ENDPOINT") or _HUB).rstrip("/")


def at_endpoint(url: str) -> str:
    """The URL, moved to ``HF_ENDPOINT`` if it is one of the hub's."""
    return hub_endpoint() + url.removeprefix(_HUB) if url.startswith(f"{_HUB}/") else url


def is_on_hub(url: str) -> bool:
    """Whether the URL is of the model hub itself, not of where it sends one on to."""
    return origin_of(url) in {origin_of(hub_endpoint()), origin_of(_HUB)}


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: what two URLs must share for a secret to pass from one to the other."""
    parts = _split(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(scheme)


def shown(url: str) -> str:
    """The URL without user, password, query and fragment, which may hold secrets."""
    parts = _split(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def filename_of(url: str) -> str:
    """The file name at the end of the URL's path.

    Raises:
        ParameterError: There is none that could be a model file.
    """
    name = unquote(_split(url).path.rpartition("/")[2])
    if not name.lower().endswith(".gguf"):
        right = right_form(shown(url)) if is_on_hub(url) else None
        hint = f"; for a repository write {right}" if right else ""
        message = f"{quote(shown(url), 200)} does not end in the name of a .gguf file{hint}"
        raise ParameterError(message)
    return safe_filename(name)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as exc:
        message = f"{quote(url, 200)} is not a URL: {exc}"
        raise ParameterError(message) from exc
    return parts
