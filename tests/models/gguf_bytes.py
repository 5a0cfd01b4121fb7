"""Builds small GGUF files byte by byte, so that tests can also build wrong ones."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from llmlocal.models._gguf._types import TENSOR_TYPES

U32, I32, F32, BOOL, STRING, ARRAY, U64 = 4, 5, 6, 7, 8, 9, 10
TYPE_NUMBERS = {kind.name: number for number, kind in TENSOR_TYPES.items()}

Plain = int | float | bool | str
Setting = Plain | Sequence[Plain]


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def scalar(value: Plain) -> tuple[int, bytes]:
    if isinstance(value, bool):
        return BOOL, struct.pack("<?", value)
    if isinstance(value, int):
        return (U32, struct.pack("<I", value)) if value >= 0 else (I32, struct.pack("<i", value))
    if isinstance(value, float):
        return F32, struct.pack("<f", value)
    return STRING, text(value)


def setting(key: str, value: Setting) -> bytes:
    if isinstance(value, (str, int, float)):
        kind, data = scalar(value)
        return text(key) + struct.pack("<I", kind) + data
    items = [scalar(item) for item in value]
    kind = items[0][0] if items else U32
    head = struct.pack("<IIQ", ARRAY, kind, len(items))
    return text(key) + head + b"".join(data for _, data in items)


def tensor_bytes(shape: Sequence[int], kind: str) -> int:
    number = 1
    for length in shape:
        number *= length
    stored = TENSOR_TYPES[TYPE_NUMBERS[kind]]
    return number // stored.block_weights * stored.block_bytes


def build(
    settings: Mapping[str, Setting],
    tensors: Mapping[str, tuple[Sequence[int], str]] | None = None,
    *,
    filler: bytes = b"\0",
    version: int = 3,
    alignment: int = 32,
) -> bytes:
    """A whole file: header, padding, and weights made of the repeated filler."""
    tensors = tensors or {}
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(settings))
    head += b"".join(setting(key, value) for key, value in settings.items())
    weights = b""
    for name, (shape, kind) in tensors.items():
        head += text(name) + struct.pack("<I", len(shape))
        head += b"".join(struct.pack("<Q", length) for length in shape)
        head += struct.pack("<IQ", TYPE_NUMBERS[kind], len(weights))
        size = tensor_bytes(shape, kind)
        data = (filler * (size // len(filler) + 1))[:size]
        weights += data + b"\0" * (-len(data) % alignment)
    return head + b"\0" * (-len(head) % alignment) + weights


def small_model(size_bytes: int = 200_000, *, seed: int = 1) -> bytes:
    """A readable GGUF file of about that size, with bytes that differ from seed to seed."""
    rows = max(size_bytes // (4 * 256), 1)
    filler = struct.pack("<256I", *((seed * 2654435761 + 40503 * i) % 2**32 for i in range(256)))
    settings: dict[str, Setting] = {"general.architecture": "llama", "llama.block_count": 1}
    return build(settings, {"token_embd.weight": ((256, rows), "F32")}, filler=filler[:-1])
