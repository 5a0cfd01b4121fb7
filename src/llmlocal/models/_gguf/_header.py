"""Reads the header of a GGUF file: settings and the list of tensors, never the weights.

Pure Python, from any stream of bytes.  The checks are at least as strict as llama.cpp's own, so
that what passes here can be loaded there; everything else is a ModelLoadError with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import MappingProxyType

from ...errors import ModelLoadError
from ._reader import MAX_KEY_BYTES, LongArray, Reader, Value
from ._types import TENSOR_TYPES

__all__ = ["Header", "Tensor", "read_header", "read_header_of"]

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_SETTINGS = 1 << 16
MAX_TENSORS = 1 << 17
MAX_TENSOR_NAME_BYTES = 63
MAX_DIMENSIONS = 4
MAX_WEIGHTS = 1 << 50
DEFAULT_ALIGNMENT = 32
MAX_ALIGNMENT = 1 << 20


@dataclass(frozen=True)
class Tensor:
    """One tensor of a model.

    Attributes:
        name: For instance ``"blk.0.attn_q.weight"``.
        shape: Length of each dimension, the fastest-moving first.
        type: How its weights are stored, for instance ``"Q4_K"``.
        offset: Where its bytes begin, counted from the end of the header.
        size_bytes: How many they are.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    offset: int
    size_bytes: int

    @property
    def weights(self) -> int:
        """How many weights it has."""
        return prod(self.shape)


@dataclass(frozen=True)
class Header:
    """What a GGUF file says before its weights.

    Attributes:
        version: Of the file format.
        metadata: Settings by name; an array of more than 1,024 elements is only counted.
        tensors: In the order of the file.
        data_offset: Where the weights begin, in bytes.
    """

    version: int
    metadata: Mapping[str, Value]
    tensors: tuple[Tensor, ...]
    data_offset: int

    @property
    def end(self) -> int:
        """How long the file has to be, in bytes."""
        return self.data_offset + max((t.offset + t.size_bytes for t in self.tensors), default=0)

    def integer(self, key: str) -> int | None:
        """A setting that is a whole number, else None."""
        value = self.metadata.get(key)
        return value if type(value) is int else None

    def text(self, key: str) -> str | None:
        """A setting that is a text, else None."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def length(self, key: str) -> int | None:
        """How many elements a setting that is an array has, else None."""
        value = self.metadata.get(key)
        if isinstance(value, LongArray):
            return value.length
        return len(value) if isinstance(value, tuple) else None


def read_header_of(path: Path) -> Header:
    """The header of a file on disk.

    Raises:
        ModelLoadError: It is not a GGUF file, or one that ends before its weights do.
    """
    # Not opened, since that would wait for whoever writes to a pipe.
    if not path.is_file():
        message = f"{path} is not a regular file"
        raise ModelLoadError(message)
    try:
        with path.open("rb", buffering=0) as file:
            size = file.seek(0, 2)
            file.seek(0)
            return read_header(file.read, path.name, size)
    except OSError as exc:
        message = f"{path} can't be read: {exc.strerror}"
        raise ModelLoadError(message) from exc


def read_header(read: Callable[[int], bytes], name: str, file_bytes: int | None) -> Header:
    """The header that a stream begins with.

    Args:
        read: Returns up to so many of the next bytes, none at the end.
        name: What errors call the file.
        file_bytes: How long the file is; None skips the check that all weights are in it.

    Raises:
        ModelLoadError: It is not a GGUF header, or the weights do not fit in the file.
    """
    try:
        header = _parse(Reader(read))
        if file_bytes is not None and header.end > file_bytes:
            message = f"it is incomplete: {file_bytes} bytes of {header.end}"
            raise ModelLoadError(message)
    except ModelLoadError as exc:
        message = f"{name} is not a GGUF model that can be read: {exc}"
        raise ModelLoadError(message) from exc
    return header


def _parse(reader: Reader) -> Header:
    magic = reader.take(len(MAGIC))
    if magic != MAGIC:
        message = f"it begins with {magic!r}, not with {MAGIC!r}"
        raise ModelLoadError(message)
    version = reader.u32()
    if version not in VERSIONS:
        kind = "a big-endian file" if version & 0xFFFF == 0 else f"version {version} of the format"
        message = f"{kind} is not supported"
        raise ModelLoadError(message)
    num_tensors = _bounded(reader.u64(), MAX_TENSORS, "tensors")
    num_settings = _bounded(reader.u64(), MAX_SETTINGS, "settings")
    metadata = _settings(reader, num_settings)
    alignment = _alignment(metadata)
    tensors = _tensors(reader, num_tensors, alignment)
    return Header(version, MappingProxyType(metadata), tensors, _padded(reader.position, alignment))


def _settings(reader: Reader, count: int) -> dict[str, Value]:
    metadata: dict[str, Value] = {}
    for _ in range(count):
        key = reader.text(MAX_KEY_BYTES)
        if key in metadata:
            message = f"the setting {key!r} is there twice"
            raise ModelLoadError(message)
        try:
            metadata[key] = reader.value(reader.u32())
        except ModelLoadError as exc:
            message = f"setting {key[:80]!r}: {exc}"
            raise ModelLoadError(message) from exc
    return metadata


def _alignment(metadata: Mapping[str, Value]) -> int:
    value = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if type(value) is not int or not 0 < value <= MAX_ALIGNMENT or value & (value - 1):
        message = f"general.alignment is {value!r}, not a power of two up to {MAX_ALIGNMENT}"
        raise ModelLoadError(message)
    return value


def _tensors(reader: Reader, count: int, alignment: int) -> tuple[Tensor, ...]:
    tensors: dict[str, Tensor] = {}
    expected_offset = 0
    for _ in range(count):
        tensor = _tensor(reader)
        if tensor.name in tensors:
            message = f"the tensor {tensor.name!r} is there twice"
            raise ModelLoadError(message)
        if tensor.offset != expected_offset:
            message = f"tensor {tensor.name!r} begins at {tensor.offset}, not at {expected_offset}"
            raise ModelLoadError(message)
        tensors[tensor.name] = tensor
        expected_offset += _padded(tensor.size_bytes, alignment)
    return tuple(tensors.values())


def _tensor(reader: Reader) -> Tensor:
    name = reader.text(MAX_TENSOR_NAME_BYTES)
    dimensions = _bounded(reader.u32(), MAX_DIMENSIONS, "dimensions")
    shape = tuple(reader.u64() for _ in range(dimensions))
    kind = reader.u32()
    offset = reader.u64()
    stored = TENSOR_TYPES.get(kind)
    if stored is None:
        message = f"tensor {name!r} has type {kind}, which this release does not know"
        raise ModelLoadError(message)
    weights = prod(shape)
    if weights > MAX_WEIGHTS or max(shape, default=0) > MAX_WEIGHTS:
        message = f"tensor {name!r} claims the shape {shape}"
        raise ModelLoadError(message)
    row = shape[0] if shape else 1
    if row % stored.block_weights:
        message = f"tensor {name!r} has rows of {row}, not whole blocks of {stored.block_weights}"
        raise ModelLoadError(message)
    size_bytes = weights // stored.block_weights * stored.block_bytes
    return Tensor(name, shape, stored.name, offset, size_bytes)


def _bounded(value: int, limit: int, what: str) -> int:
    if value > limit:
        message = f"it claims {value} {what}, more than {limit}"
        raise ModelLoadError(message)
    return value


def _padded(size: int, alignment: int) -> int:
    return (size + alignment - 1) // alignment * alignment
