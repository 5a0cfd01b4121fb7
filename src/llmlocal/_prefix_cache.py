"""The folder that keeps evaluated prefixes for later processes: where it is, and what is in it.

The engine writes and reads its files (``engine/streams/prefix_file.h`` has the format); here are
the questions that need no engine.
"""

from __future__ import annotations

import hashlib
import os
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from llmlocal._checks import check_path

__all__ = ["CachedPrefix", "chosen_folder", "clear", "fingerprint", "listing"]

VARIABLE = "LLMLOCAL_PREFIX_CACHE"
DEFAULT_DISK_BYTES = 10 << 30
MOST_AGE_S = 30 * 24 * 60 * 60
"""What nobody has used for so long is removed, in seconds."""

_ENDINGS = (".prefix", ".part")
_FIXED = struct.Struct("=QIi" + "Q" * 4 + "40x" + "Q")
_MAGIC = 0x315846504C4C4D4C
_FRONT_BYTES = 16 << 20  # The headers of all but the largest vocabularies are shorter.
_SAMPLES, _SAMPLE_BYTES = 256, 4096


def chosen_folder(path: str | os.PathLike[str] | None) -> Path | None:
    """The folder to use; None = none.

    Args:
        path: The caller's choice; None for the environment's, and an empty text for none.

    Raises:
        ParameterError: It is no path.
    """
    if path is None:
        path = os.environ.get(VARIABLE, "")
    check_path("prefix_cache_path", path)
    text = os.fspath(path)
    return Path(text).expanduser().absolute() if text else None


def fingerprint(model: Path) -> str:
    """What tells a model from all others, by its contents: names don't matter.

    The size, the front with all that the header says, and samples of the weights, of every part: a
    model that was trained further, or quantized in another way, differs in all of them.
    """
    from llmlocal.models._names._filenames import part_names

    digest = hashlib.sha256()
    for name in part_names(model.name):
        with (model.parent / name).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            digest.update(size.to_bytes(8, "little"))
            for start, count in _samples(size):
                file.seek(start)
                digest.update(file.read(count))
    return digest.hexdigest()


def _samples(size: int) -> Iterator[tuple[int, int]]:
    yield 0, _FRONT_BYTES
    rest = size - _FRONT_BYTES
    for i in range(_SAMPLES if rest > 0 else 0):
        yield _FRONT_BYTES + rest * i // _SAMPLES, _SAMPLE_BYTES


@dataclass(frozen=True)
class CachedPrefix:
    """One file of the folder.

    Attributes:
        path: Where it is.
        bytes: How long it is.
        idle_s: Seconds since it was last used.
        tokens: Tokens that it stands for; 0 for a file that was left behind half written.
        identity: What its state depends on, as text; empty for the same.
    """

    path: Path
    bytes: int
    idle_s: float
    tokens: int = 0
    identity: str = ""


def listing(folder: Path) -> list[CachedPrefix]:
    """What is in the folder, the last used first; nothing where there is no such folder."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.suffix not in _ENDINGS or path.is_symlink():
            continue
        try:
            facts = path.stat()
            with path.open("rb") as file:
                tokens, identity = _front(file)
        except OSError:  # Another process removed it.
            continue
        found.append(
            CachedPrefix(path, facts.st_size, time.time() - facts.st_mtime, tokens, identity)
        )
    return sorted(found, key=lambda entry: entry.idle_s)


def _front(file: BinaryIO) -> tuple[int, str]:
    fixed = file.read(_FIXED.size)
    if len(fixed) < _FIXED.size:
        return 0, ""
    magic, _, _, identity_bytes, tokens, _, _, _ = _FIXED.unpack(fixed)
    if magic != _MAGIC or identity_bytes > 1 << 16:
        return 0, ""
    return tokens, file.read(identity_bytes).decode(errors="replace")


def clear(folder: Path, *, idle_s: float = 0) -> list[CachedPrefix]:
    """Remove what has not been used for so many seconds; say what that was.

    Raises:
        OSError: A file can't be removed.
    """
    removed = [entry for entry in listing(folder) if entry.idle_s >= idle_s]
    for entry in removed:
        entry.path.unlink(missing_ok=True)
    return removed
