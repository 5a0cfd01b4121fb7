"""placeholder, replaced below"""
from __future__ import annotations
from pathlib import Path
from ..errors import ChecksumError
def require_complete(path: Path, name: str) -> None:
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            message = f"{name}: not a GGUF file"
            raise ChecksumError(message)
