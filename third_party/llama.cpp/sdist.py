"""A source distribution as an archive that is not trusted: checked by hash, unpacked with care.

Nothing is written outside the given folder, whatever the archive says: names that climb or start
at the root, links, devices, doubles and oversized archives are refused as a whole.
Not for downloading: see `fetch.py`.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
import tarfile
import zlib
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

MAX_UNPACKED_BYTES = 1 << 29  # the pinned archive holds 216 MB
MAX_MEMBERS = 20_000  # the pinned archive holds 3,900

# Names below the one top folder of the distribution.
_TREE = "vendor/llama.cpp/"
_SUBMODULE_HEAD = f".git/modules/{_TREE}HEAD"
_VERSION_FILES = {"llama.cpp": f"{_TREE}CMakeLists.txt", "ggml": f"{_TREE}ggml/CMakeLists.txt"}


class ArchiveError(Exception):
    """The archive is not what was asked for, or not safe to unpack."""


class _BoundedGzip(gzip.GzipFile):
    """Decompresses up to a number of bytes and then refuses; a small file can hold terabytes."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        super().__init__(path, "rb")
        self._left = max_bytes

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self._left -= len(data)
        if self._left < 0:
            reason = "archive is larger than allowed when unpacked"
            raise ArchiveError(reason)
        return data


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def verify(path: Path, sha256: str) -> None:
    """Raises ArchiveError unless the file has this SHA-256."""
    actual = sha256_of(path)
    if actual != sha256:
        reason = f"{path.name} has sha256 {actual}, the pin says {sha256}"
        raise ArchiveError(reason)


def unpack(
    archive: Path, folder: Path, parts: Collection[str], *, max_bytes: int = MAX_UNPACKED_BYTES
) -> int:
    """Unpacks the wanted parts of the llama.cpp tree into `folder`, which must be empty.

    Args:
        archive: A `.tar.gz` source distribution, already verified.
        folder: Where the tree's own top goes.
        parts: The first path components below `vendor/llama.cpp` to take: `{"src", "LICENSE"}`.
        max_bytes: The most that the whole archive may decompress to.

    Returns:
        The number of files written.

    Raises:
        ArchiveError: A part is missing, or any member of the archive is unsafe or damaged.
    """
    count = 0
    missing = set(parts)
    for name, content in _files(archive, max_bytes):
        inner = name.removeprefix(_TREE)
        part = inner.partition("/")[0]
        if name.startswith(_TREE) and part in parts:
            _write(content, folder / inner)
            missing.discard(part)
            count += 1
    if missing:
        reason = f"{archive.name} has no {_TREE}{min(missing)}"
        raise ArchiveError(reason)
    return count


def read_facts(archive: Path) -> dict[str, str]:
    """Returns what the archive says of its llama.cpp: `commit`, `llama.cpp` and `ggml` (versions).

    A fact that it does not hold is "unknown".
    """
    texts = {
        name: content.read().decode("utf-8", "replace")
        for name, content in _files(archive, MAX_UNPACKED_BYTES)
        if name in {_SUBMODULE_HEAD, *_VERSION_FILES.values()}
    }
    commit = texts.get(_SUBMODULE_HEAD, "").strip()
    facts = {"commit": commit if re.fullmatch(r"[0-9a-f]{40}", commit) else "unknown"}
    for fact, file in _VERSION_FILES.items():
        numbers = re.findall(r"_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)\)", texts.get(file, ""))
        facts[fact] = ".".join(numbers) or "unknown"
    return facts


def _files(archive: Path, max_bytes: int) -> Iterator[tuple[str, IO[bytes]]]:
    """Yields every regular file as (its name below the one top folder, its content)."""
    try:
        with (
            _BoundedGzip(archive, max_bytes) as stream,
            tarfile.open(fileobj=stream, mode="r|") as tar,
        ):
            for index, member in enumerate(tar):
                _refuse_unsafe(member, index)
                if content := tar.extractfile(member):
                    yield member.name.partition("/")[2], content
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        reason = f"{archive.name} is damaged: {error}"
        raise ArchiveError(reason) from error


def _refuse_unsafe(member: tarfile.TarInfo, index: int) -> None:
    """Raises ArchiveError for a member that could reach outside its folder, or one too many."""
    if index >= MAX_MEMBERS:
        reason = f"archive has more than {MAX_MEMBERS} members"
        raise ArchiveError(reason)
    if not (member.isreg() or member.isdir()):
        reason = f"archive holds a link or a device: {member.name!r}"
        raise ArchiveError(reason)
    # A colon or a backslash means a drive or a separator on Windows; no file of llama.cpp has one.
    if ".." in member.name.split("/") or member.name.startswith("/") or {*"\\:\0"} & {*member.name}:
        reason = f"archive holds a name that leaves its folder: {member.name!r}"
        raise ArchiveError(reason)


def _write(content: IO[bytes], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("xb") as file:
            shutil.copyfileobj(content, file, 1 << 20)
    except FileExistsError as error:
        reason = f"archive holds {path.name!r} twice"
        raise ArchiveError(reason) from error
