"""Files that people take for a model, recognised by how they begin; each with what to do."""

from __future__ import annotations

import re

__all__ = ["BEGINNING_BYTES", "what_else"]

BEGINNING_BYTES = 512
"""As much of a file as is looked at."""

_PAGE = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype|html)", re.IGNORECASE)
_OLD_GGML = (b"lmgg", b"fmgg", b"tjgg", b"algg")  # Little-endian "ggml", "ggmf", "ggjt", "ggla".


def what_else(beginning: bytes) -> str | None:
    """What the file is instead of a GGUF model, and what to do; None where that is not known.

    Args:
        beginning: Its first :data:`BEGINNING_BYTES`, or all that it has.
    """
    if beginning.startswith(b"version https://git-lfs"):
        return (
            "it is a Git LFS pointer, which stands for the model in a repository: run `git lfs pull` "
            "there, or fetch the model by its name or URL"
        )
    if _PAGE.match(beginning):
        return "it is a web page that was saved under this name: fetch the model again"
    if beginning.startswith(_OLD_GGML):
        return "it is a model in the GGML format of before August 2023: fetch it as GGUF"
    if beginning.startswith(b"PK\x03\x04"):
        return "it is a ZIP archive, or a PyTorch checkpoint: unpack it, or convert it to GGUF"
    if beginning[8:10] == b'{"':
        return "it is a safetensors file: convert it to GGUF, or fetch the model as GGUF"
    return None
