"""The header parser: right on honest files, and an error, never anything else, on hostile ones."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmlocal.errors import ModelLoadError
from llmlocal.models._gguf._header import Header, read_header, read_header_of
from llmlocal.models._gguf._reader import LongArray
from llmlocal.models._gguf._types import FILE_TYPES, TENSOR_TYPES

from .gguf_bytes import ARRAY, STRING, U32, Setting, build, setting, text


def parse(data: bytes, *, step: int = 1 << 20, size: int | None = None) -> Header:
    """Parse from a stream that delivers ``step`` bytes at a time."""
    position = 0

    def read(count: int) -> bytes:
        nonlocal position
        start = position
        position += min(count, step)
        return data[start:position]

    return read_header(read, "test.gguf", len(data) if size is None else size)


SETTINGS: dict[str, Setting] = {
    "general.architecture": "llama",
    "general.alignment": 64,
    "llama.block_count": 2,
    "llama.rope.freq_base": 10000.0,
    "llama.use_x": True,
    "llama.shift": -3,
    "llama.attention.head_count_kv": [2, 4],
    "tokenizer.ggml.tokens": [f"token{i}" for i in range(2000)],
    "tokenizer.ggml.scores": [float(i) for i in range(2000)],
}
TENSORS = {"a": ((64, 3), "F32"), "b": ((256, 2), "Q4_K"), "c": ((32,), "Q4_0"), "d": ((), "F32")}
HONEST = build(SETTINGS, TENSORS, alignment=64)


@pytest.mark.parametrize("step", [1, 7, 65536])
def test_an_honest_file_is_read_whatever_its_stream_delivers(step: int) -> None:
    header = parse(HONEST, step=step)

    assert header.version == 3
    assert header.metadata["llama.use_x"] is True
    assert header.metadata["llama.shift"] == -3
    assert header.metadata["llama.attention.head_count_kv"] == (2, 4)
    assert header.metadata["tokenizer.ggml.tokens"] == LongArray(2000)
    assert header.length("tokenizer.ggml.scores") == 2000
    assert header.length("llama.attention.head_count_kv") == 2
    assert header.text("general.architecture") == "llama"
    assert header.integer("llama.block_count") == 2
    assert header.integer("general.architecture") is None
    assert header.text("llama.block_count") is None
    assert header.length("llama.block_count") is None
    assert [(t.name, t.shape, t.type, t.size_bytes, t.weights) for t in header.tensors] == [
        ("a", (64, 3), "F32", 768, 192),
        ("b", (256, 2), "Q4_K", 288, 512),
        ("c", (32,), "Q4_0", 18, 32),
        ("d", (), "F32", 4, 1),
    ]
    assert header.data_offset % 64 == 0
    assert header.end <= len(HONEST) < header.end + 64


def test_the_reference_writer_is_understood(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    numpy = pytest.importorskip("numpy")
    path = tmp_path / "reference.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(3)
    writer.add_token_list([f"t{i}" for i in range(1500)])
    writer.add_tensor("x.weight", numpy.zeros((5, 64), dtype=numpy.float32))
    writer.add_tensor("y.weight", numpy.zeros((7,), dtype=numpy.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    header = read_header_of(path)

    assert header.integer("llama.block_count") == 3
    assert header.length("tokenizer.ggml.tokens") == 1500
    assert [(t.name, t.shape, t.type) for t in header.tensors] == [
        ("x.weight", (64, 5), "F32"),
        ("y.weight", (7,), "F16"),
    ]


def test_the_tables_agree_with_the_reference() -> None:
    gguf = pytest.importorskip("gguf")
    ours = {number: (kind.block_weights, kind.block_bytes) for number, kind in TENSOR_TYPES.items()}
    theirs = {int(kind): size for kind, size in gguf.GGML_QUANT_SIZES.items()}
    theirs[9] = (32, 36)  # Q8_1 has two half floats in C, and two floats in the Python package.

    assert {number: size for number, size in ours.items() if number in theirs} == theirs
    assert {number: TENSOR_TYPES[number].name for number in theirs} == {
        int(kind): kind.name for kind in gguf.GGML_QUANT_SIZES
    }
    names = {int(kind): kind.name for kind in gguf.LlamaFileType if kind.name != "GUESSED"}
    stripped = {
        number: name.removeprefix("MOSTLY_").removeprefix("ALL_").removesuffix("_MOE")
        for number, name in names.items()
    }
    assert {number: FILE_TYPES[number] for number in stripped} == stripped


def head(settings_count: int = 0, tensors: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, settings_count)


def tensor(
    name: str = "t", shape: tuple[int, ...] = (32,), kind: int = 0, offset: int = 0
) -> bytes:
    return (
        text(name)
        + struct.pack("<I", len(shape))
        + b"".join(struct.pack("<Q", length) for length in shape)
        + struct.pack("<IQ", kind, offset)
    )


def array(kind: int, length: int) -> bytes:
    return text("k") + struct.pack("<IIQ", ARRAY, kind, length)


HOSTILE = {
    "empty": (b"", "ends in the middle"),
    "other magic": (b"GGML" + bytes(100), "begins with b'GGML'"),
    "magic alone": (b"GGUF", "ends in the middle"),
    "version 1": (head(version=1) + bytes(99), "version 1 .* not supported"),
    "version 99": (head(version=99) + bytes(99), "version 99 .* not supported"),
    "big-endian": (b"GGUF" + struct.pack(">I", 3) + bytes(99), "big-endian"),
    "settings without end": (head(2**63), f"claims {2**63} settings"),
    "tensors without end": (head(0, 2**40), f"claims {2**40} tensors"),
    "settings missing": (head(3) + setting("a", 1), "ends in the middle"),
    "key of 2^60 bytes": (head(1) + struct.pack("<Q", 2**60), f"claims {2**60} bytes"),
    "text of 2^63 bytes": (head(1) + text("k") + struct.pack("<IQ", STRING, 2**63), "claims"),
    "text cut short": (head(1) + text("k") + struct.pack("<IQ", STRING, 999), "ends in the middle"),
    "unknown type": (head(1) + text("k") + struct.pack("<I", 13), "unknown type 13"),
    "unknown element type": (head(1) + array(99, 3), "unknown type 99"),
    "array of 2^60": (head(1) + array(U32, 2**60), f"claims {2**60} elements"),
    "array cut short": (head(1) + array(U32, 2**20), "ends in the middle"),
    "texts cut short": (head(1) + array(STRING, 2**20) + text("a"), "ends in the middle"),
    "text in an array of 2^60 bytes": (
        head(1) + array(STRING, 5000) + struct.pack("<Q", 2**60),
        "claims",
    ),
    "array of arrays": (head(1) + array(ARRAY, 5), "array of arrays"),
    "setting twice": (head(2) + setting("a", 1) + setting("a", 2), "'a' is there twice"),
    "alignment zero": (head(1) + setting("general.alignment", 0), "general.alignment is 0"),
    "alignment odd": (head(1) + setting("general.alignment", 48), "general.alignment is 48"),
    "alignment of a text": (
        head(1) + setting("general.alignment", "8"),
        "general.alignment is '8'",
    ),
    "alignment huge": (head(1) + setting("general.alignment", 2**30), "general.alignment is"),
    "tensor twice": (head(0, 2) + tensor() + tensor(offset=128), "'t' is there twice"),
    "tensor of unknown type": (head(0, 1) + tensor(kind=77), "type 77"),
    "tensor of removed type": (head(0, 1) + tensor(kind=4), "type 4"),
    "tensor of 5 dimensions": (head(0, 1) + tensor(shape=(1,) * 5), "claims 5 dimensions"),
    "tensor too large": (head(0, 1) + tensor(shape=(2**40, 2**40)), "claims the shape"),
    "tensor large and empty": (head(0, 1) + tensor(shape=(2**63, 0)), "claims the shape"),
    "tensor of part blocks": (head(0, 1) + tensor(shape=(33,), kind=2), "not whole blocks of 32"),
    "tensor elsewhere": (head(0, 1) + tensor(offset=32), "begins at 32, not at 0"),
    "tensors overlap": (head(0, 2) + tensor("a") + tensor("b"), "begins at 0, not at 128"),
    "long tensor name": (head(0, 1) + tensor("n" * 64), "claims 64 bytes"),
    "weights missing": (HONEST[:-100], "incomplete"),
}


@pytest.mark.parametrize(("data", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_header_is_an_error(data: bytes, reason: str) -> None:
    with pytest.raises(ModelLoadError, match=rf"test.gguf is not a GGUF model.*{reason}"):
        parse(data)


def test_a_header_without_end_is_an_error() -> None:
    endless = head(1) + array(STRING, 2**24) + text(b"x" * 4096) * 64
    body = text(b"x" * 4096) * 64

    def read(_count: int) -> bytes:
        nonlocal endless
        data, endless = endless, body
        return data

    with pytest.raises(ModelLoadError, match="header is longer"):
        read_header(read, "endless", None)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_any_damage_is_an_error_or_harmless(data: st.DataObject) -> None:
    damaged = bytearray(HONEST[:1200] if data.draw(st.booleans()) else HONEST)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, min(len(damaged) - 1, 400)))
        damaged[place] = data.draw(st.integers(0, 255))
    try:
        header = parse(bytes(damaged), size=len(HONEST))
    except ModelLoadError:
        return
    assert header.end <= len(HONEST)


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_an_error_or_a_header(data: bytes) -> None:
    try:
        parse(b"GGUF\x03\0\0\0" + data)
    except ModelLoadError as exc:
        assert "test.gguf" in str(exc)  # noqa: PT017 - either way is right


@given(st.integers(0, len(HONEST) - 64))
@settings(max_examples=60, deadline=None)
def test_a_file_cut_anywhere_is_an_error(length: int) -> None:
    with pytest.raises(ModelLoadError, match=r"test.gguf"):
        parse(HONEST[:length])
