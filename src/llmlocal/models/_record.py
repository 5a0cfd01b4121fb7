"""What is known of a file that this library fetched or verified: size, digests, origin, when.

A record makes a later ``verify`` possible where no catalog knows the file, and spares reading
gigabytes again while the file has not been touched.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ._card import Checks
from ._disk import write_text
from ._slot import Slot

__all__ = ["Record", "read_record", "write_record"]


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
