"""Reads GGUF's primitive values from a stream whose bytes may be hostile.

Nothing is allocated from a number in the file before that many bytes were seen to be there.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from ...errors import ModelLoadError

__all__ = ["LongArray", "Reader", "Scalar", "Value"]

MAX_HEADER_BYTES = 1 << 28  # The largest vocabularies take some 20 MB.
MAX_STRING_BYTES = 1 << 24
MAX_KEY_BYTES = (1 << 16) - 1
MAX_ARRAY_LENGTH = 1 << 24
KEPT_ARRAY_LENGTH = 1 << 10
"""Per-layer settings are shorter; vocabularies are longer and are only counted."""

BLOCK_BYTES = 1 << 16
STRING, ARRAY = 8, 9

_SCALARS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class LongArray:
    """Stands for an array too long to be a setting, such as a vocabulary.

    Attributes:
        length: How many elements it has.
    """

    length: int


Scalar: TypeAlias = int | float | bool | str
Value: TypeAlias = Scalar | tuple[Scalar, ...] | LongArray


class Reader:
    """A cursor over the bytes that ``read`` delivers.

    Args:
        read: Returns up to so many of the next bytes, none at the end.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._buffer = b""
        self._start = 0  # Of the unread bytes in the buffer.
        self._consumed = 0  # Bytes before the buffer.

    @property
    def position(self) -> int:
        """Bytes taken so far."""
        return self._consumed + self._start

    def take(self, count: int) -> bytes:
        """The next bytes.

        Raises:
            ModelLoadError: The file ends before, or the header is longer than any real one.
        """
        self._require(count)
        start = self._start
        self._start += count
        return self._buffer[start : start + count]

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def text(self, max_bytes: int = MAX_STRING_BYTES) -> str:
        """The next string; bytes that are not UTF-8 are replaced."""
        return self.take(self._string_length(max_bytes)).decode("utf-8", "replace")

    def value(self, kind: int) -> Value:
        """The next value of the kind that the file says it has."""
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            return self._array()
        return self._scalar(kind)

    def _scalar(self, kind: int) -> Scalar:
        form = self._form(kind)
        value: Scalar = form.unpack(self.take(form.size))[0]
        return value

    def _array(self) -> Value:
        kind = self.u32()
        length = self.u64()
        if kind == ARRAY:
            message = "an array of arrays is not supported"
            raise ModelLoadError(message)
        if length > MAX_ARRAY_LENGTH:
            message = f"an array claims {length} elements, more than any model has"
            raise ModelLoadError(message)
        if length <= KEPT_ARRAY_LENGTH:
            if kind == STRING:
                return tuple(self.text() for _ in range(length))
            return tuple(self._scalar(kind) for _ in range(length))
        if kind == STRING:
            self._skip_strings(length)
        else:
            self._skip(length * self._form(kind).size)
        return LongArray(length)

    def _form(self, kind: int) -> struct.Struct:
        form = _SCALARS.get(kind)
        if form is None:
            message = f"a value claims the unknown type {kind}"
            raise ModelLoadError(message)
        return form

    def _string_length(self, max_bytes: int) -> int:
        length = self.u64()
        if length > max_bytes:
            message = f"a text claims {length} bytes, more than any model has"
            raise ModelLoadError(message)
        return length

    def _skip_strings(self, count: int) -> None:
        # A vocabulary has hundreds of thousands: this loop stays in the buffer while it can.
        unpack = _LENGTH.unpack_from
        for _ in range(count):
            if len(self._buffer) - self._start < _LENGTH.size:
                self._require(_LENGTH.size)
            (length,) = unpack(self._buffer, self._start)
            if length > MAX_STRING_BYTES:
                message = f"a text claims {length} bytes, more than any model has"
                raise ModelLoadError(message)
            end = self._start + _LENGTH.size + length
            if end > len(self._buffer):
                self._skip(_LENGTH.size + length)
            else:
                self._start = end

    def _skip(self, count: int) -> None:
        while count:
            self._require(1)
            step = min(count, len(self._buffer) - self._start)
            self._start += step
            count -= step

    def _require(self, count: int) -> None:
        """Have that many unread bytes in the buffer, read block by block."""
        unread = len(self._buffer) - self._start
        if unread >= count:
            return
        if self.position + count > MAX_HEADER_BYTES:
            message = f"the header is longer than {MAX_HEADER_BYTES} bytes, more than any model has"
            raise ModelLoadError(message)
        pieces = [self._buffer[self._start :]]
        self._consumed += self._start
        self._start = 0
        while unread < count:
            block = self._read(max(BLOCK_BYTES, count - unread))
            if not block:
                message = (
                    f"the file ends in the middle of its header, at byte {self._consumed + unread}"
                )
                raise ModelLoadError(message)
            pieces.append(block)
            unread += len(block)
        self._buffer = b"".join(pieces)
