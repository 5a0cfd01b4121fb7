"""Writes GGUF files of any shape with seeded random weights: sizes beyond what can be downloaded.

They answer nonsense at the true speed of such a model. Weights are made and written one tensor at
a time, so that a model larger than memory can be written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import gguf
import numpy as np

from benchmarks.random_weights import TYPES, random_weights, type_for
from benchmarks.workloads import WORDS

__all__ = ["SHAPES", "Shape", "ensure_model", "parameters", "vocabulary", "write_model"]

_SEED = 20
_EXPERTS_USED = 4  # by each token


@dataclass(frozen=True)
class Shape:
    """The shape of a Llama-like model, or of a mixture of experts.

    Attributes:
        layers: Blocks.
        width: Embedding length, a multiple of 32.
        inner: Feed-forward length, a multiple of 32.
        heads: Attention heads; `width` is a multiple of it.
        kv_heads: Heads of keys and values; `heads` is a multiple of it.
        vocab: Tokens, at least about 1,000.
        context: Tokens that it claims to be trained for.
        type: Of its weights, one of `random_weights.TYPES`. In a mixture whose experts are MXFP4 the
            others are Q8_0, as in gpt-oss.
        experts: Of each block; 0 for none. A token goes through four of them.
    """

    layers: int
    width: int
    inner: int
    heads: int
    kv_heads: int
    vocab: int
    context: int = 8192
    type: str = field(default="Q4_0", kw_only=True)
    experts: int = field(default=0, kw_only=True)

    @classmethod
    def of_numbers(cls, numbers: Iterable[int]) -> Shape:
        """The shape of six or seven numbers, in the order of the attributes."""
        layers, width, inner, heads, kv_heads, vocab, *context = numbers
        return cls(layers, width, inner, heads, kv_heads, vocab, *context)

    def __post_init__(self) -> None:
        if self.type not in TYPES:
            raise ValueError(f"a type is one of {', '.join(TYPES)}; got {self.type!r}")


SHAPES: Mapping[str, Shape] = {
    # One layer of next to nothing: what is left is what a token costs beyond the model.
    "tiny": Shape(layers=1, width=64, inner=128, heads=2, kv_heads=1, vocab=4096),
    # Small, so that a large vocabulary is most of it.
    "small": Shape(layers=4, width=256, inner=704, heads=4, kv_heads=2, vocab=32000),
    # SmolLM2-135M's.
    "135m": Shape(layers=30, width=576, inner=1536, heads=9, kv_heads=3, vocab=49152),
    # TinyLlama's: 1.1 billion parameters, 620 MB: bound by memory bandwidth.
    "1b": Shape(layers=22, width=2048, inner=5632, heads=32, kv_heads=4, vocab=32000),
    # A third of gpt-oss 20b's layers, width and inner length, with as many experts.
    "moe": Shape(layers=8, width=1024, inner=1024, heads=16, kv_heads=2, vocab=32000, experts=32),
}


def parameters(shape: Shape) -> int:
    """The number of weights, norms included."""
    return sum(int(np.prod(size)) for _, size in _tensors(shape))


def ensure_model(shape: Shape, folder: Path) -> Path:
    """The file of this shape in a folder, written if it is not there."""
    digest = hashlib.sha256(repr((asdict(shape), _SEED, 2)).encode()).hexdigest()[:8]
    name = f"random-{shape.layers}x{shape.width}-v{shape.vocab}-{shape.type}-{digest}.gguf"
    path = folder / name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        write_model(unfinished, shape, seed=_SEED)
        unfinished.replace(path)
    return path


def write_model(path: Path, shape: Shape, *, seed: int) -> None:
    """Write a model's file."""
    writer = gguf.GGUFWriter(str(path), "llama")
    _write_header(writer, shape)
    for name, size in _tensors(shape):
        kind = _type_of(name, size, shape)
        if kind is None:
            writer.add_tensor_info(name, size, np.dtype(np.float32), 4 * int(np.prod(size)))
        else:
            shape_in_bytes = gguf.quant_shape_to_byte_shape(size, kind)
            writer.add_tensor_info(
                name,
                shape_in_bytes,
                np.dtype(np.uint8),
                int(np.prod(shape_in_bytes)),
                raw_dtype=kind,
            )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    random = np.random.default_rng(seed)
    for name, size in _tensors(shape):
        kind = _type_of(name, size, shape)
        if kind is not None:
            rows = int(np.prod(size[:-1]))
            writer.write_tensor_data(random_weights(random, (rows, size[-1]), kind))
        elif len(size) == 1:
            writer.write_tensor_data(np.ones(size, np.float32))
        else:
            floats = random.standard_normal(size, np.float32) / np.float32(np.sqrt(size[-1]))
            writer.write_tensor_data(floats)
    writer.close()


def vocabulary(size: int) -> Iterator[tuple[str, int, float]]:
    """Tokens with their kinds and scores: special ones, bytes, words, and fillers up to `size`.

    A word is built up letter by letter, and every beginning of a word is a token, so the tokenizer
    finds its way from letters to whole words.
    """
    kinds = gguf.TokenType
    yield "<unk>", kinds.UNKNOWN, 0.0
    yield "<s>", kinds.CONTROL, 0.0
    yield "</s>", kinds.CONTROL, 0.0
    for value in range(256):
        yield f"<0x{value:02X}>", kinds.BYTE, 0.0
    pieces = dict.fromkeys(
        form[:end]
        for word in (*WORDS, *map(str.capitalize, WORDS))
        for form in (word, f"\u2581{word}")
        for end in range(1, len(form) + 1)
    )
    pieces.update(dict.fromkeys("0123456789.,:?\n\u2581"))
    if size < 3 + 256 + len(pieces):
        raise ValueError(f"vocab must be at least {3 + 256 + len(pieces)}, got {size}")
    for piece in pieces:
        yield piece, kinds.NORMAL, float(len(piece))
    for number in range(size - 3 - 256 - len(pieces)):
        yield f"\u2581filler{number}", kinds.NORMAL, -1e6


def _write_header(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_name("random weights")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_layer_norm_rms_eps(1e-5)
    if shape.experts:
        writer.add_expert_count(shape.experts)
        writer.add_expert_used_count(_EXPERTS_USED)
    writer.add_vocab_size(shape.vocab)
    writer.add_file_type(_file_type(shape.type))
    tokens, kinds, scores = zip(*vocabulary(shape.vocab), strict=True)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(list(tokens))
    writer.add_token_types(list(kinds))
    writer.add_token_scores(list(scores))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_chat_template(
        "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )


def _file_type(kind: str) -> gguf.LlamaFileType:
    names = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M", "MXFP4": "MXFP4_MOE"}
    return gguf.LlamaFileType[f"MOSTLY_{names.get(kind, kind)}"]


def _type_of(name: str, size: tuple[int, ...], shape: Shape) -> gguf.GGMLQuantizationType | None:
    """None for single precision, which norms and the choice of experts have."""
    if len(size) == 1 or "ffn_gate_inp" in name:
        return None
    is_other = shape.experts > 0 and len(size) < 3
    return type_for(TYPES["Q8_0" if is_other and shape.type == "MXFP4" else shape.type], size[-1])


def _tensors(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and sizes, the longest axis of memory last."""
    width, kv_width = shape.width, shape.width // shape.heads * shape.kv_heads
    yield "token_embd.weight", (shape.vocab, width)
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        yield f"{block}attn_norm.weight", (width,)
        yield f"{block}attn_q.weight", (width, width)
        yield f"{block}attn_k.weight", (kv_width, width)
        yield f"{block}attn_v.weight", (kv_width, width)
        yield f"{block}attn_output.weight", (width, width)
        yield f"{block}ffn_norm.weight", (width,)
        if shape.experts:
            yield f"{block}ffn_gate_inp.weight", (shape.experts, width)
        experts, of = ((shape.experts,), "_exps") if shape.experts else ((), "")
        yield f"{block}ffn_gate{of}.weight", (*experts, shape.inner, width)
        yield f"{block}ffn_up{of}.weight", (*experts, shape.inner, width)
        yield f"{block}ffn_down{of}.weight", (*experts, width, shape.inner)
    yield "output_norm.weight", (width,)
    yield "output.weight", (shape.vocab, width)
