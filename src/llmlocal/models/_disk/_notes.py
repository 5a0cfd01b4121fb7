"""Notes about files: where an unfinished one came from, and what a finished one was when read.

An :class:`Origin` answers whether a later try may go on where the earlier one stopped.  A
:class:`Record` makes a later ``verify`` possible where no catalog knows the file, and spares
reading gigabytes again while it has not been touched.  A note that is damaged is as good as none.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from .._catalog._card import Checks
from .._names._places import Slot
from ._files import write_text

__all__ = ["Origin", "Record", "read_origin", "read_record", "write_origin", "write_record"]


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


@dataclass(frozen=True)
class Record:
    """One file as it was when all its bytes were last read.

    Attributes:
        size: Bytes.
        sha256: Digest.
        modified_ns: The file's modification time, in nanoseconds since 1970.
        md5: Digest, where an old catalog asked for it.
        source: The URL (without query) or the packages that it came from.
    """

    size: int
    sha256: str
    modified_ns: int
    md5: str | None = None
    source: str | None = None

    @classmethod
    def of(cls, path: Path, found: Checks, source: str | None) -> Record:
        """The record of a file whose bytes were just read.

        Raises:
            OSError: The file is gone.
        """
        assert found.size is not None
        assert found.sha256 is not None
        return cls(found.size, found.sha256, path.stat().st_mtime_ns, found.md5, source)

    @property
    def checks(self) -> Checks:
        """What the bytes were."""
        return Checks(self.size, self.sha256, self.md5)

    def describes(self, path: Path) -> bool:
        """Whether the file looks untouched since: same size, same modification time."""
        try:
            status = path.stat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.size, self.modified_ns)


def read_origin(slot: Slot) -> Origin | None:
    """The note beside the slot's part, or None where there is none that can be understood."""
    try:
        origin = Origin(**json.loads(slot.origin.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    is_sound = type(origin.url) is str and all(
        value is None or type(value) is kind
        for value, kind in ((origin.validator, str), (origin.sha256, str), (origin.total, int))
    )
    return origin if is_sound else None


def write_origin(slot: Slot, origin: Origin) -> None:
    """Leave the note.

    Raises:
        OSError: It cannot be written.
    """
    write_text(slot.origin, json.dumps(asdict(origin)))


def read_record(slot: Slot) -> Record | None:
    """The record of the slot's file, or None where there is none that can be understood."""
    try:
        fields = json.loads(slot.record.read_text("utf-8"))
        if fields.pop("file") != slot.relative:
            return None
        return Record(**fields)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write_record(slot: Slot, record: Record) -> None:
    """Keep the record.

    Raises:
        OSError: It cannot be written.
    """
    write_text(slot.record, json.dumps({"file": slot.relative, **asdict(record)}))
