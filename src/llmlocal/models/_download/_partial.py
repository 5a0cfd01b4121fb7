"""The growing file of one download: appended to, resumed, and in the end verified and named.

It knows nothing of where bytes come from.  Its invariant: every byte in the ``.part`` file has
been through the digest, in order; so finishing needs no second read.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import BinaryIO

from ..._own_files import open_own
from ...errors import ChecksumError, DownloadError, ModelLoadError
from .._catalog._card import Checks
from .._disk._digest import Digest, compare, digest_of
from .._disk._files import disk_error, make_folder, remove_if_there, require_space, sync
from .._disk._notes import Origin, Record, read_origin, write_origin, write_record
from .._gguf._header import read_header_of
from .._names._places import Slot
from .._report import Report

__all__ = ["Partial"]


class Partial:
    """What has arrived of one file.  Open it with ``with``; the caller holds the slot's lock.

    Attributes:
        slot: The file's place.
        checks: What the finished bytes must be.
        origin: Where the bytes so far came from, None where that is unknown.
        is_patchwork: Whether the bytes come from more than one connection, so that a wrong
            digest may mean that they do not belong together.
    """

    def __init__(self, slot: Slot, checks: Checks) -> None:
        self.slot = slot
        self.checks = checks
        self.origin: Origin | None = None
        self.is_patchwork = False
        self._digest = self._new_digest()
        self._file: BinaryIO | None = None

    def __enter__(self) -> Partial:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        with contextlib.suppress(OSError):
            if not self.slot.part.stat().st_size:  # Nothing came, so nothing is left behind.
                self.slot.part.unlink()
                self.slot.origin.unlink()

    def open(self, report: Report) -> None:
        """Take up what an earlier try left, if that can be trusted, or begin anew.

        Raises:
            DownloadError: The folder or the file in it cannot be written.
        """
        make_folder(self.slot.target.parent)
        try:
            self._open(report)
        except OSError as exc:
            raise disk_error(exc, self.slot.target.parent) from exc

    def _open(self, report: Report) -> None:
        part = self.slot.part
        file = self._file = open_own(part)
        self.origin = read_origin(self.slot)
        size = file.seek(0, os.SEEK_END)
        promised = self.checks.size
        is_identified = self.checks.pin_content or self.origin is not None
        if not is_identified or (promised is not None and size > promised):
            self.restart()
        elif size:
            self._digest = digest_of(file, report, with_md5=self.checks.md5 is not None)
            self.is_patchwork = True

    @property
    def size(self) -> int:
        """Bytes that have arrived."""
        return self._digest.size

    def require_space(self, total: int | None) -> None:
        """Check that the rest of the file fits on the disk.

        Raises:
            DownloadError: It does not.
        """
        if total is not None and total > self.size:
            require_space(self.slot.target.parent, total - self.size)

    def note(self, origin: Origin) -> None:
        """Write down where the bytes come from, before the first of them is written.

        Raises:
            DownloadError: The note cannot be written.
        """
        if origin == self.origin:
            return
        try:
            write_origin(self.slot, origin)
        except OSError as exc:
            raise disk_error(exc, self.slot.target.parent) from exc
        self.origin = origin

    def append(self, data: bytes) -> None:
        """Write the next bytes, and hash them meanwhile.

        Raises:
            DownloadError: The disk is full or failed; the part is left as long as its digest.
        """
        file = self._opened()
        before = self._digest.copy()
        hashing = threading.Thread(target=self._digest.update, args=(data,))
        hashing.start()
        view = memoryview(data)
        try:
            while view:
                view = view[file.write(view) :]
        except OSError as exc:
            raise disk_error(exc, self.slot.target.parent) from exc
        finally:
            hashing.join()
            if view:
                before.update(data[: len(data) - len(view)])
                self._digest = before

    def restart(self) -> None:
        """Throw away what has arrived.

        Raises:
            DownloadError: The file system refuses.
        """
        file = self._opened()
        try:
            file.seek(0)
            file.truncate()
            remove_if_there(self.slot.origin)
        except OSError as exc:
            raise disk_error(exc, self.slot.target.parent) from exc
        self.origin = None
        self.is_patchwork = False
        self._digest = self._new_digest()

    def finish(self, promised: Checks, source: str) -> Path:
        """Verify the bytes, make them last, and give them their real name.

        Args:
            promised: What the bytes must be: the catalog's word, completed by the server's.
            source: Where they came from, for the record.

        Returns:
            The path of the complete file.

        Raises:
            ChecksumError: They are not the promised bytes; they have been set aside.
            DownloadError: The file system refuses.
        """
        target = self.slot.target
        found = self._digest.result()
        self.close()
        try:
            compare(target.name, promised, found)
            if not promised.pin_content:
                _require_whole_model(self.slot.part, target.name)
        except ChecksumError as exc:
            self._set_aside()
            message = f"{exc}; the bytes have been set aside as {self.slot.bad.name}"
            raise ChecksumError(message) from exc
        try:
            sync(self.slot.part)
            self.slot.part.replace(target)
            sync(target.parent)
            remove_if_there(self.slot.origin)
            write_record(self.slot, Record.of(target, found, source))
        except OSError as exc:
            raise disk_error(exc, target.parent) from exc
        return target

    def close(self) -> None:
        """Close the file and keep what is in it; may be called twice."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _set_aside(self) -> None:
        try:
            self.slot.part.replace(self.slot.bad)
            remove_if_there(self.slot.origin)
        except OSError as exc:
            raise disk_error(exc, self.slot.target.parent) from exc

    def _opened(self) -> BinaryIO:
        if self._file is None:
            message = "the partial file is closed"
            raise DownloadError(message)
        return self._file

    def _new_digest(self) -> Digest:
        return Digest(with_md5=self.checks.md5 is not None)


def _require_whole_model(path: Path, name: str) -> None:
    """The check of last resort, where nobody published a digest: a header, and all its weights.

    It catches what really happens: a log-in page saved as a model, and a file that ends early.

    Raises:
        ChecksumError: The file is not a complete model.
        OSError: It cannot be read.
    """
    try:
        read_header_of(path)
    except ModelLoadError as exc:
        message = f"what arrived for {name} is not a complete GGUF model: {exc}"
        raise ChecksumError(message) from exc
