"""Whether fetched bytes are a whole GGUF file: the check of last resort.

It stands in where nobody published a digest, and catches what really happens: a log-in page
saved as a model, and a file that ends early.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import ChecksumError, ModelLoadError
from ._gguf import read_header_of

__all__ = ["require_complete"]


def require_complete(path: Path, name: str) -> None:
    """Check that the file holds a readable header and all the weights that it lists.

    Raises:
        ChecksumError: It does not.
        OSError: It cannot be read.
    """
    try:
        read_header_of(path)
    except ModelLoadError as exc:
        message = f"what arrived for {name} is no whole model: {exc}"
        raise ChecksumError(message) from exc
