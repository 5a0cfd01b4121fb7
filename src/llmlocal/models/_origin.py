"""Where the bytes of an unfinished download came from: the note beside a ``.part`` file.

It answers one question: may a later try go on where the earlier one stopped?
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ._disk import write_text

__all__ = ["Origin", "read_origin", "write_origin"]


@dataclass(frozen=True)
class Origin:
    """What the server said of the file when its first bytes arrived.

    Attributes:
        url: The URL without user, password and query, which may hold secrets.
        validator: A strong ETag or a date to send as ``If-Range``.
        total: Bytes of the whole file.
        sha256: The digest that the server published for it.
    """

    url: str
    validator: str | None = None
    total: int | None = None
    sha256: str | None = None


def read_origin(path: Path) -> Origin | None:
    """The note, or None where there is none that can be understood."""
    try:
        fields = json.loads(path.read_text("utf-8"))
        origin = Origin(**fields)
    except (OSError, ValueError, TypeError):
        return None
    texts = (origin.url, origin.validator or "", origin.sha256 or "")
    if not all(isinstance(text, str) for text in texts):
        return None
    return origin if origin.total is None or type(origin.total) is int else None


def write_origin(path: Path, origin: Origin) -> None:
    """Leave the note.

    Raises:
        OSError: It cannot be written.
    """
    write_text(path, json.dumps(asdict(origin)))
