"""The few things done to folders and files, each with an error that says what to do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ...errors import DownloadError

__all__ = [
    "disk_error",
    "file_size",
    "make_folder",
    "readable_size",
    "remove_if_there",
    "require_space",
    "sync",
]

SPARE_BYTES = 16_000_000
"""Left free on the disk for everything else that is written there."""


def readable_size(size: int) -> str:
    """The size in decimal units, for people: ``"98.4 MB"``."""
    if size < 1000:
        return f"{size} bytes"
    value = float(size)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"


def disk_error(error: OSError, folder: Path) -> DownloadError:
    """What went wrong while writing into the folder, and what to do about it."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return DownloadError(
            f"the disk of {folder} is full ({error.strerror}); what has arrived is kept: make room "
            "and try again, or choose another folder with model_path or LLMLOCAL_HOME"
        )
    return DownloadError(
        f"cannot write to {folder} ({error.strerror or error}); choose another folder with "
        "model_path or LLMLOCAL_HOME"
    )


def file_size(path: Path) -> int | None:
    """The size of a regular file; None if it is none, or cannot be looked at."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:  # For instance a name that is too long.
        return None


def make_folder(folder: Path) -> None:
    """Create the folder and its parents.

    Raises:
        DownloadError: That is not possible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise disk_error(exc, folder) from exc


def require_space(folder: Path, needed_bytes: int) -> None:
    """Check that so many more bytes fit on the folder's disk.

    Raises:
        DownloadError: They do not.
    """
    import shutil

    free = shutil.disk_usage(folder).free
    if needed_bytes + SPARE_BYTES > free:
        message = (
            f"{readable_size(needed_bytes)} more are needed in {folder}, {readable_size(free)} are "
            "free; make room, or choose another folder with model_path or LLMLOCAL_HOME"
        )
        raise DownloadError(message)


def remove_if_there(path: Path) -> None:
    """Delete a file or a folder with all it holds, if there is one."""
    import shutil

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Make a file, or a folder's list of names, outlast a power cut, where the system can."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open a folder; its journal keeps renames.
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
