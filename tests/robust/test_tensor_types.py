"""Whatever type a tensor is declared with: the model is refused with the tensor's name, or it runs."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from llmlocal.models._gguf._header import Tensor, read_header_of
from llmlocal.models._gguf._types import TENSOR_TYPES

from ..api.child import OPEN, run_python
from ..conftest import TinyPath

RUN = (
    OPEN
    + """
from pathlib import Path
refused = ran = 0
for path in sorted(Path(sys.argv[2]).iterdir()):
    print(path.name, file=sys.stderr)
    try:
        # Two threads: where a worker of ggml's gives up, nobody can catch it.
        with LLM(path, device="cpu", n_threads=2, n_ctx=64, progress=False) as llm:
            llm.generate("hello there", max_tokens=3)
        ran += 1
    except ModelLoadError as error:
        assert str(error), path
        refused += 1
    except LLMLocalError:
        ran += 1
print(refused, ran)
"""
)


def with_type(data: bytes, tensor: Tensor, kind: int) -> bytes | None:
    """The file with one tensor declared to be of another type; None where it can't be."""
    stored = TENSOR_TYPES[kind]
    if tensor.shape[0] % stored.block_weights:
        return None
    name = tensor.name.encode()
    begin = data.index(struct.pack("<Q", len(name)) + name) + 8 + len(name)
    at = begin + 4 + 8 * len(tensor.shape)
    return data[:at] + struct.pack("<I", kind) + data[at + 4 :]


@pytest.mark.timeout(280)
@pytest.mark.parametrize("name", ["llama", "mamba"])
def test_any_type_for_any_tensor(name: str, tiny_path: TinyPath, tmp_path: Path) -> None:
    path = tiny_path(name)
    header = read_header_of(path)
    data = path.read_bytes()
    # The last tensor of each kind: only for it do the offsets of others stay right; its bytes are
    # as many as those of f32, which no type needs more of.
    last = header.tensors[-1]
    kinds = {tensor.name.split(".", 2)[-1]: tensor for tensor in header.tensors}
    for kind in TENSOR_TYPES:
        for tensor in {last.name: last, **{t.name: t for t in kinds.values()}}.values():
            changed = with_type(data, tensor, kind)
            if changed is not None and kind != 0:
                changed = moved(changed, header.tensors, tensor, kind)
                (tmp_path / f"{tensor.name}-{kind}.gguf").write_bytes(changed)
    done = run_python(RUN, path, tmp_path)
    assert done.returncode == 0, done.stderr[-1000:]
    refused, ran = map(int, done.stdout.split())
    assert refused > 0
    assert ran > 0


def moved(data: bytes, tensors: tuple[Tensor, ...], changed: Tensor, kind: int) -> bytes:
    """The file with the tensors behind the changed one where they now have to be."""
    stored = TENSOR_TYPES[kind]
    size = changed.weights // stored.block_weights * stored.block_bytes
    shift = _padded(size) - _padded(changed.size_bytes)
    body = len(data) - max(t.offset + _padded(t.size_bytes) for t in tensors)
    edited = bytearray(data)
    for tensor in tensors:
        if tensor.offset <= changed.offset:
            continue
        name = tensor.name.encode()
        begin = data.index(struct.pack("<Q", len(name)) + name) + 8 + len(name)
        at = begin + 4 + 8 * len(tensor.shape) + 4
        edited[at : at + 8] = struct.pack("<Q", tensor.offset + shift)
    end = body + changed.offset + _padded(changed.size_bytes)
    head = bytes(edited[: body + changed.offset])
    weights = bytes(edited[body + changed.offset : end])
    fitted = weights[: _padded(size)].ljust(_padded(size), b"\0")
    return head + fitted + bytes(edited[end:])


def _padded(size: int) -> int:
    return (size + 31) // 32 * 32
