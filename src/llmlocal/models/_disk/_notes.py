"""Notes about files: where an unfinished one came from, and what a finished one was when read.

An :class:`Origin` answers whether a later try may go on where the earlier one stopped.  A
:class:`Record` makes a later ``verify`` possible where no catalog knows the file, and spares
reading gigabytes again while it has not been touched.  A note that is damaged, or that another user
left in a shared folder, is as good as none.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from dataclasses import fields as dataclass_fields
from pathlib import Path
from types import NoneType
from typing import TypeVar

from ..._own_files import read_own, replace_own, require_real_folder
from .._catalog._card import Checks
from .._names._places import Slot

__all__ = ["Origin", "Record", "read_origin", "read_record", "write_origin", "write_record"]


N = TypeVar("N", "Origin", "Record")

_TYPES = {
    "str": (str,),
    "int": (int,),
    "str | None": (str, NoneType),
    "int | None": (int, NoneType),
}
"""What the values of fields may be, by the text of their annotation."""


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
    return _understood(Origin, _read(slot.origin))


def write_origin(slot: Slot, origin: Origin) -> None:
    """Leave the note.

    Raises:
        OSError: It cannot be written.
    """
    replace_own(slot.origin, json.dumps(asdict(origin)))


def read_record(slot: Slot) -> Record | None:
    """The record of the slot's file, or None where there is none that can be understood."""
    try:
        require_real_folder(slot.record.parent)
    except OSError:
        return None
    fields = _read(slot.record)
    if not isinstance(fields, dict) or fields.pop("file", None) != slot.relative:
        return None
    return _understood(Record, fields)


def write_record(slot: Slot, record: Record) -> None:
    """Keep the record.

    Raises:
        OSError: It cannot be written.
    """
    folder = slot.record.parent
    require_real_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    replace_own(slot.record, json.dumps({"file": slot.relative, **asdict(record)}))


def _read(path: Path) -> object:
    """What a note says; None where it says nothing that can be understood."""
    try:
        content = read_own(path)
        return None if content is None else json.loads(content)
    except (OSError, ValueError, RecursionError):  # Nesting without end is damage too.
        return None


def _understood(kind: type[N], fields: object) -> N | None:
    """The note, if it has the fields of its kind, and each has a value of its type."""
    if not isinstance(fields, dict):
        return None
    try:
        note = kind(**fields)
    except TypeError:
        return None
    for field in dataclass_fields(kind):
        value = getattr(note, field.name)
        wanted = _TYPES[str(field.type)]
        if type(value) not in wanted:
            return None
    return note
