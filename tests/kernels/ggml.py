"""ggml through ctypes: one operation at a time, on memory that ends where nothing may be read."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from llmlocal import _core

__all__ = ["Array", "Ggml", "Operand", "f32", "variant", "variants"]

Array = np.ndarray[Any, Any]
_LIB = Path(_core.__file__).parent / "lib"
_PAGE = mmap.PAGESIZE


class _Parameters(ctypes.Structure):
    _fields_ = (("size", ctypes.c_size_t), ("memory", ctypes.c_void_p), ("bare", ctypes.c_bool))


@dataclass(frozen=True)
class Operand:
    """A tensor's type, its shape as ggml has it (the innermost size first), and its bytes."""

    type: gguf.GGMLQuantizationType
    shape: tuple[int, ...]
    data: bytes


def f32(values: Array) -> Operand:
    """An array as a tensor of floats; its last axis is ggml's first."""
    data = np.ascontiguousarray(values, np.float32)
    return Operand(gguf.GGMLQuantizationType.F32, data.shape[::-1], data.tobytes())


class _Fenced:
    """Memory that ends at a page which can't be read: what reads beyond it ends the process."""

    def __init__(self, data: bytes) -> None:
        pages = -(-len(data) // _PAGE)
        self._map = mmap.mmap(-1, (pages + 1) * _PAGE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        fence = start + pages * _PAGE
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.mprotect(ctypes.c_void_p(fence), ctypes.c_size_t(_PAGE), 0) == 0
        self.base, self.size = start, pages * _PAGE
        self.address = fence - len(data)
        ctypes.memmove(self.address, data, len(data))


class Ggml:
    """One of the builds of ggml-cpu."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self._base = ctypes.CDLL(str(next(_LIB.glob("*ggml-base-llmlocal.*"))), ctypes.RTLD_GLOBAL)
        self._cpu = ctypes.CDLL(str(path))
        for library, names in (
            (
                self._base,
                "init new_tensor_4d mul_mat mul_mat_id flash_attn_ext new_graph view_4d permute gelu",
            ),
            (self._base, "backend_buft_name backend_buft_alloc_buffer backend_buffer_get_base"),
            (self._cpu, "backend_cpu_init backend_cpu_reg"),
        ):
            for name in names.split():
                getattr(library, f"ggml_{name}").restype = ctypes.c_void_p
        self._base.ggml_backend_reg_get_proc_address.restype = ctypes.c_void_p
        self._base.ggml_backend_reg_dev_get.restype = ctypes.c_void_p
        self._base.ggml_backend_buft_name.restype = ctypes.c_char_p
        self._base.ggml_backend_cpu_buffer_from_ptr.restype = ctypes.c_void_p
        self._base.ggml_quantize_chunk.restype = ctypes.c_size_t
        self._base.ggml_nbytes.restype = ctypes.c_size_t

    def kernels(self) -> str | None:
        """The name of our own kernels in it; none where they are left out or switched off."""
        names = (name for name in self._extra_buffer_types() if name.startswith("llmlocal"))
        return next(names, None)

    def _extra_buffer_types(self) -> dict[str, ctypes.c_void_p]:
        reg = ctypes.c_void_p(self._cpu.ggml_backend_cpu_reg())
        device = ctypes.c_void_p(self._base.ggml_backend_reg_dev_get(reg, ctypes.c_size_t(0)))
        address = self._base.ggml_backend_reg_get_proc_address(
            reg, b"ggml_backend_dev_get_extra_bufts"
        )
        types = ctypes.CFUNCTYPE(ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p)(address)(device)
        found = {}
        for each in types:
            if each is None:
                break
            pointer = ctypes.c_void_p(each)
            found[self._base.ggml_backend_buft_name(pointer).decode()] = pointer
        return found

    def quantized(self, values: Array, kind: gguf.GGMLQuantizationType) -> Operand:
        """Rows of floats in a type of ggml's."""
        data = np.ascontiguousarray(values, np.float32)
        rows, width = data.reshape(-1, data.shape[-1]).shape
        block, size = gguf.GGML_QUANT_SIZES[kind]
        out = ctypes.create_string_buffer(rows * width // block * size)
        self._base.ggml_quantize_chunk(
            int(kind),
            data.ctypes.data_as(ctypes.c_void_p),
            out,
            ctypes.c_int64(0),
            ctypes.c_int64(rows),
            ctypes.c_int64(width),
            None,
        )
        return Operand(kind, data.shape[::-1], out.raw)

    def mul_mat(
        self,
        weights: Operand,
        inputs: Operand,
        *,
        repacked: bool = False,
        rows_from: int = 0,
        **how: Any,
    ) -> Array:
        """Each row of `inputs` times each of `weights`, which ggml may have repacked.

        With ``rows_from``, a view of the inputs that leaves out so many rows of each matrix.
        """
        with self._context() as context:
            tensors = [self._weights(context, weights, repacked), context.tensor(inputs)]
            if rows_from:
                tensors[1] = context.rows_from(tensors[1], inputs, rows_from)
            result = self._base.ggml_mul_mat(context.pointer, *tensors)
            outer = list(inputs.shape[:0:-1])
            outer[-1] -= rows_from
            shape = (*outer, weights.shape[1])
            return context.compute(ctypes.c_void_p(result), shape, **how)

    def mul_mat_id(
        self,
        weights: Operand,
        inputs: Operand,
        experts: Array,
        *,
        repacked: bool = False,
        **how: Any,
    ) -> Array:
        """Each token's inputs times the weights of its experts: (tokens, slots, rows)."""
        chosen = np.ascontiguousarray(experts, np.int32)
        ids = Operand(gguf.GGMLQuantizationType.I32, chosen.shape[::-1], chosen.tobytes())
        with self._context() as context:
            tensors = [self._weights(context, weights, repacked), context.tensor(inputs)]
            result = self._base.ggml_mul_mat_id(context.pointer, *tensors, context.tensor(ids))
            shape = (*chosen.shape, weights.shape[1])
            return context.compute(ctypes.c_void_p(result), shape, **how)

    def gelu(self, numbers: Operand, **how: Any) -> Array:
        """GELU of each number."""
        with self._context() as context:
            result = self._base.ggml_gelu(context.pointer, context.tensor(numbers))
            return context.compute(ctypes.c_void_p(result), numbers.shape[::-1], **how)

    def _weights(self, context: _Context, weights: Operand, repacked: bool) -> ctypes.c_void_p:
        if not repacked:
            return context.tensor(weights)
        return context.tensor_of_buffer(weights, self._extra_buffer_types()["CPU_REPACK"])

    def attention(
        self,
        q: Operand,
        k: Operand,
        v: Operand,
        mask: Operand | None = None,
        sinks: Operand | None = None,
        *,
        scale: float = 1.0,
        max_bias: float = 0.0,
        softcap: float = 0.0,
        as_cached: bool = False,
        **how: Any,
    ) -> Array:
        """Fused attention; the result is (streams, rows, heads, size of a value).

        With ``as_cached``, keys and values lie as in a KV cache: those of all heads side by side.
        """
        with self._context() as context:
            tensors = [context.tensor(each) if each else None for each in (q, k, v, mask)]
            if as_cached:
                tensors[1:3] = [context.heads_side_by_side(each) for each in (k, v)]
            floats = [ctypes.c_float(each) for each in (scale, max_bias, softcap)]
            result = ctypes.c_void_p(
                self._base.ggml_flash_attn_ext(context.pointer, *tensors, *floats)
            )
            if sinks is not None:
                self._base.ggml_flash_attn_ext_add_sinks(result, context.tensor(sinks))
            size, rows, heads, streams = v.shape[0], q.shape[1], q.shape[2], q.shape[3]
            return context.compute(result, (streams, rows, heads, size), **how)

    @contextmanager
    def _context(self) -> Iterator[_Context]:
        pointer = ctypes.c_void_p(self._base.ggml_init(_Parameters(1 << 20, None, True)))
        try:
            yield _Context(self._base, self._cpu, pointer)
        finally:
            self._base.ggml_free(pointer)


class _Context:
    def __init__(self, base: ctypes.CDLL, cpu: ctypes.CDLL, pointer: ctypes.c_void_p) -> None:
        self._base, self._cpu, self.pointer = base, cpu, pointer
        self._buffers: list[ctypes.c_void_p] = []
        self._memory: list[_Fenced] = []

    def tensor(self, operand: Operand) -> ctypes.c_void_p:
        tensor = self._new(operand)
        self._place(tensor, operand.data)
        return tensor

    def tensor_of_buffer(self, operand: Operand, kind: ctypes.c_void_p) -> ctypes.c_void_p:
        """A tensor in memory of a kind of ggml's, which lays it out."""
        tensor, size = self._new(operand), ctypes.c_size_t(len(operand.data))
        buffer = ctypes.c_void_p(self._base.ggml_backend_buft_alloc_buffer(kind, size))
        base = ctypes.c_void_p(self._base.ggml_backend_buffer_get_base(buffer))
        self._buffers.append(buffer)
        self._base.ggml_backend_tensor_alloc(buffer, tensor, base)
        self._base.ggml_backend_tensor_set(tensor, operand.data, ctypes.c_size_t(0), size)
        return tensor

    def _new(self, operand: Operand) -> ctypes.c_void_p:
        shape = [*operand.shape, *[1] * (4 - len(operand.shape))]
        sizes = [ctypes.c_int64(size) for size in shape]
        tensor = ctypes.c_void_p(
            self._base.ggml_new_tensor_4d(self.pointer, int(operand.type), *sizes)
        )
        assert self._base.ggml_nbytes(tensor) == len(operand.data)
        return tensor

    def rows_from(self, tensor: ctypes.c_void_p, operand: Operand, first: int) -> ctypes.c_void_p:
        """A view that leaves out the first rows of each matrix of floats."""
        width, rows, *outer = [*operand.shape, 1, 1][:4]
        sizes = [ctypes.c_int64(each) for each in (width, rows - first, *outer)]
        steps = [width * 4, width * rows * 4, width * rows * outer[0] * 4, first * width * 4]
        places = [ctypes.c_size_t(each) for each in steps]
        return ctypes.c_void_p(self._base.ggml_view_4d(self.pointer, tensor, *sizes, *places))

    def heads_side_by_side(self, operand: Operand) -> ctypes.c_void_p:
        size, rows, heads, streams = operand.shape
        raw = np.frombuffer(operand.data, np.uint8).reshape(streams, heads, rows, -1)
        moved = Operand(operand.type, (size, heads, rows, streams), raw.swapaxes(1, 2).tobytes())
        return ctypes.c_void_p(
            self._base.ggml_permute(self.pointer, self.tensor(moved), 0, 2, 1, 3)
        )

    def compute(
        self,
        result: ctypes.c_void_p,
        shape: Sequence[int],
        threads: int = 1,
        reference: bool = False,
    ) -> Array:
        nan = np.full(self._base.ggml_nbytes(result) // 4, np.nan, np.float32)
        memory = self._place(result, nan.tobytes())
        graph = ctypes.c_void_p(self._base.ggml_new_graph(self.pointer))
        self._base.ggml_build_forward_expand(graph, result)
        backend = ctypes.c_void_p(self._cpu.ggml_backend_cpu_init())
        try:
            self._cpu.ggml_backend_cpu_set_n_threads(backend, threads)
            self._cpu.ggml_backend_cpu_set_use_ref(backend, ctypes.c_bool(reference))
            assert self._base.ggml_backend_graph_compute(backend, graph) == 0
            raw = ctypes.string_at(memory.address, nan.nbytes)
        finally:
            self._base.ggml_backend_free(backend)
            for buffer in self._buffers:
                self._base.ggml_backend_buffer_free(buffer)
        return np.frombuffer(raw, np.float32).reshape(shape)

    def _place(self, tensor: ctypes.c_void_p, data: bytes) -> _Fenced:
        memory = _Fenced(data)
        buffer = ctypes.c_void_p(
            self._base.ggml_backend_cpu_buffer_from_ptr(
                ctypes.c_void_p(memory.base), ctypes.c_size_t(memory.size)
            )
        )
        self._base.ggml_backend_tensor_alloc(buffer, tensor, ctypes.c_void_p(memory.address))
        self._buffers.append(buffer)
        self._memory.append(memory)
        return memory


@cache
def variant(path: Path) -> Ggml:
    return Ggml(path)


def variants() -> list[Any]:
    """A parameter for each build of ggml-cpu that this CPU can run."""
    found = sorted(
        path for path in _LIB.glob("*ggml-cpu*") if path.suffix in (".so", ".dll", ".dylib")
    )
    runs = []
    for path in found:
        score = getattr(ctypes.CDLL(str(path)), "ggml_backend_score", None)
        if score is None or score() > 0:
            runs.append(pytest.param(path, id=path.stem))
    return runs
