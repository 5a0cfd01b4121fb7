"""Which names may become files: one rule on every system, so that a store can be moved.

Names come from URLs, repositories, catalogs and command lines, and are treated as hostile.
"""

from __future__ import annotations

import unicodedata

from ..._quote import quote
from ...errors import ParameterError

__all__ = ["MAX_NAME_BYTES", "safe_filename", "safe_relative"]

MAX_NAME_BYTES = 230  # File systems hold 255; the rest is for ".part.json" and its like.

_FORBIDDEN = frozenset('<>:"/\\|?*')
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789\u00b9\u00b2\u00b3"]
)


def safe_filename(name: str) -> str:
    """The name in Unicode's composed form, if it can be one file name on every system.

    Raises:
        ParameterError: It is empty or too long, names a folder or a device, or holds a
            separator, a control character or one that some file system refuses.
    """
    composed = unicodedata.normalize("NFC", name)
    reason = _objection(composed)
    if reason is not None:
        message = f"{quote(name, 200)} cannot be a file name: {reason}"
        raise ParameterError(message)
    return composed


def safe_relative(path: str) -> str:
    """The relative path, if each of its ``/``-separated pieces is a safe file name.

    Raises:
        ParameterError: A piece is not.
    """
    return "/".join(safe_filename(piece) for piece in path.split("/"))


def _objection(name: str) -> str | None:
    if not name:
        return "it is empty"
    if name.startswith("."):
        return "it begins with a dot"
    if name != name.strip() or name.endswith("."):
        return "it begins or ends with a space, or ends with a dot"
    if any(character in _FORBIDDEN or not character.isprintable() for character in name):
        return 'it holds a control character or one of < > : " / \\ | ? *'
    if name.split(".", 1)[0].rstrip().lower() in _DEVICES:
        return "it is the name of a device"
    try:
        encoded = name.encode()
    except UnicodeEncodeError:  # pragma: no cover - surrogates are not printable
        return "it is not valid Unicode"
    if len(encoded) > MAX_NAME_BYTES:
        return f"it is longer than {MAX_NAME_BYTES} bytes"
    return None
