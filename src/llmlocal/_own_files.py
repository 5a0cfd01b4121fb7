"""Files that the package writes: always its own, never through a link that somebody else made.

In a folder that others can write, a name that the package is about to use may be there already: as
a symbolic link to the user's own file, as a second name (hard link) of it, as a pipe that never
answers.  So files are opened without following the last piece of their path, and what is found is
used only if it is a regular file with one name that belongs to the user; anything else is replaced
by a new file.  Where the system has no owners or no links of that kind (Windows), what it has is
checked.
"""

from __future__ import annotations

import os
import secrets
import stat
from io import FileIO
from pathlib import Path

__all__ = ["open_own", "read_own", "remove_link", "replace_own", "require_real_folder"]

MAX_NOTE_BYTES = 1 << 20
"""No note is longer; whoever leaves a longer one does not get it read."""

_GUARDS = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # A pipe is refused, not waited for.
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


def open_own(path: Path) -> FileIO:
    """The user's own file for reading and writing, as it is, or a new and empty one.

    Raises:
        OSError: It can neither be opened nor made.
    """
    descriptor = _open_if_own(path, os.O_RDWR)
    if descriptor is None:
        path.unlink(missing_ok=True)  # Removes a link, not what it leads to.
        descriptor = _create(path)
    return os.fdopen(descriptor, "r+b", buffering=0)


def read_own(path: Path) -> bytes | None:
    """What is in a small file; None where there is none, or it is not the user's own.

    Raises:
        OSError: It can't be read.
    """
    descriptor = _open_if_own(path, os.O_RDONLY)
    if descriptor is None:
        return None
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(MAX_NOTE_BYTES + 1)
    return content if len(content) <= MAX_NOTE_BYTES else None


def replace_own(path: Path, text: str) -> None:
    """Write a new file in place of whatever has this name: readers see the old or the new one.

    Raises:
        OSError: It can't be written; nothing has changed then.
    """
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(3)}.new")
    descriptor = _create(fresh)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("utf-8"))
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def remove_link(path: Path) -> None:
    """Remove what has this name, unless it is a regular file with no other name.

    For files that others open by their name, and that may belong to another user, such as locks.

    Raises:
        OSError: It can't be removed.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not _is_plain(found):
        path.unlink(missing_ok=True)


def require_real_folder(folder: Path) -> None:
    """Raise NotADirectoryError if something else, such as a link to a folder, has the name."""
    try:
        mode = folder.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(mode):
        kind = "a link" if stat.S_ISLNK(mode) else "no folder"
        raise NotADirectoryError(None, f"{folder} is {kind}; remove it")


def _open_if_own(path: Path, access: int) -> int | None:
    """A descriptor, or None where there is no such file or it is not the user's own."""
    try:
        before = path.lstat()
    except FileNotFoundError:
        return None
    if not _is_own(before):
        return None
    try:
        descriptor = os.open(path, access | _GUARDS)
    except FileNotFoundError:
        return None
    # Between the look and the opening, the name may have been given to another file.
    if not _is_own(os.fstat(descriptor)):
        os.close(descriptor)
        return None
    return descriptor


def _is_own(found: os.stat_result) -> bool:
    is_users = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
    return is_users and _is_plain(found)


def _is_plain(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1


def _create(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _GUARDS, 0o666)
