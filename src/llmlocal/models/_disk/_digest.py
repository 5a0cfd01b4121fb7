"""Digests of a file, kept while its bytes pass by, and compared with what was promised."""

from __future__ import annotations

import hashlib
from io import FileIO
from pathlib import Path

from ...errors import ChecksumError
from .._catalog._card import Checks
from .._names._places import Slot
from .._report import Report
from ._notes import read_record

__all__ = ["Digest", "compare", "digest_file", "digest_of", "is_promised"]

BLOCK_BYTES = 1 << 20


class Digest:
    """The size, SHA-256 and, where it is asked for, MD5 of the bytes seen so far."""

    def __init__(self, *, with_md5: bool) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()
        # MD5 is only ever compared with what an old catalog published; it protects nothing.
        self._md5 = hashlib.md5(usedforsecurity=False) if with_md5 else None

    def update(self, data: bytes | memoryview) -> None:
        self.size += len(data)
        self._sha256.update(data)
        if self._md5 is not None:
            self._md5.update(data)

    def copy(self) -> Digest:
        """Another that goes on from the same bytes."""
        other = Digest(with_md5=False)
        other.size = self.size
        other._sha256 = self._sha256.copy()
        other._md5 = None if self._md5 is None else self._md5.copy()
        return other

    def result(self) -> Checks:
        """What the bytes so far are."""
        md5 = None if self._md5 is None else self._md5.hexdigest()
        return Checks(self.size, self._sha256.hexdigest(), md5)


def digest_file(path: Path, report: Report, *, with_md5: bool) -> Digest:
    """Read the file once and return its digest; reported as the stage ``"verify"``.

    Raises:
        OSError: The file cannot be read.
        DownloadCancelledError: The report's receiver said to stop.
    """
    with path.open("rb", buffering=0) as file:
        return digest_of(file, report, with_md5=with_md5)


def digest_of(file: FileIO, report: Report, *, with_md5: bool) -> Digest:
    """The same for an open file, which then stands at its end."""
    digest = Digest(with_md5=with_md5)
    buffer = memoryview(bytearray(BLOCK_BYTES))
    total = file.seek(0, 2)
    file.seek(0)
    report("verify", 0, total)
    while count := file.readinto(buffer):
        digest.update(buffer[:count])
        report("verify", digest.size, total)
    return digest


def compare(name: str, promised: Checks, found: Checks) -> None:
    """Compare what was promised of a file with what it is.

    Raises:
        ChecksumError: A promised fact does not hold; the message has both.
    """
    if promised.size is not None and found.size != promised.size:
        message = f"{name}: expected file size of {promised.size} bytes, got {found.size}"
        raise ChecksumError(message)
    if promised.sha256 is not None and found.sha256 != promised.sha256:
        message = f"{name}: expected SHA-256 hash of {promised.sha256}, got {found.sha256}"
        raise ChecksumError(message)
    if promised.md5 is not None and found.md5 != promised.md5:
        message = f"{name}: expected MD5 hash of {promised.md5}, got {found.md5}"
        raise ChecksumError(message)


def is_promised(path: Path, slot: Slot | None, promised: Checks, report: Report) -> bool:
    """Whether the file's bytes are the promised ones; not read again if untouched since.

    Args:
        path: The file.
        slot: Its place, where there may be a record of it.
        promised: What its bytes must be.
        report: Hears about progress; may cancel.
    """
    record = None if slot is None else read_record(slot)
    if record is None or not record.describes(path) or (promised.md5 and not record.md5):
        found = digest_file(path, report, with_md5=promised.md5 is not None).result()
    else:
        found = record.checks
    try:
        compare(path.name, promised, found)
    except ChecksumError:
        return False
    return True
