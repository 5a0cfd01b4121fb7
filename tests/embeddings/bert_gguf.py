"""Writes BERT models as GGUF files, from Hugging Face's names of their weights: numpy and gguf alone.

What ``convert_hf_to_gguf.py`` does for them, without torch.  Weights of two dimensions become
float16, but for the small ones that are added.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

_NAMES = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
    "classifier": "cls.output",
}
_ADDED = ("position_embd", "token_types")  # llama.cpp wants these as they are.


@dataclass(frozen=True)
class Bert:
    """What goes into a file.

    Attributes:
        vocab: WordPiece's tokens, by id.
        weights: By Hugging Face's names, without a leading "bert.".
        heads: Attention heads.
        pooling: How a text's vector is made.
        context: Tokens of a text, as the file says.
        labels: What a classifier tells apart.
        epsilon: Of the norms.
    """

    vocab: Sequence[str]
    weights: Mapping[str, Array]
    heads: int
    pooling: gguf.PoolingType
    context: int
    labels: Sequence[str] = ()
    epsilon: float = 1e-12

    @property
    def layers(self) -> int:
        found = [re.match(r"encoder\.layer\.(\d+)\.", name) for name in self.weights]
        return max(int(match[1]) for match in found if match) + 1

    def write(self, path: Path, *, kind: str = "f16") -> Path:
        """Write the file; ``kind`` is that of the large weights: f32, f16 or q8_0."""
        writer = gguf.GGUFWriter(path, "bert")
        writer.add_name(path.stem)
        writer.add_context_length(self.context)
        writer.add_embedding_length(self.weights["embeddings.word_embeddings.weight"].shape[1])
        writer.add_feed_forward_length(
            self.weights["encoder.layer.0.intermediate.dense.weight"].shape[0]
        )
        writer.add_block_count(self.layers)
        writer.add_head_count(self.heads)
        writer.add_layer_norm_eps(self.epsilon)
        writer.add_causal_attention(False)
        writer.add_pooling_type(self.pooling)
        if self.labels:
            writer.add_classifier_output_labels(list(self.labels))
        self._write_vocab(writer)
        for name, weights in self.weights.items():
            ours = _our_name(name, has_head="classifier.weight" in self.weights)
            if ours is not None:
                _add(writer, ours, weights, kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    def _write_vocab(self, writer: gguf.GGUFWriter) -> None:
        special = [token for token in self.vocab if re.fullmatch(r"\[.*\]", token)]
        writer.add_tokenizer_model("bert")
        writer.add_tokenizer_pre("default")
        writer.add_token_list([_spelling(token, special) for token in self.vocab])
        writer.add_token_types([3 if token in special else 1 for token in self.vocab])
        writer.add_token_type_count(len(self.weights["embeddings.token_type_embeddings.weight"]))
        ids = {token: number for number, token in enumerate(self.vocab)}
        writer.add_bos_token_id(ids["[CLS]"])
        writer.add_eos_token_id(ids["[SEP]"])
        writer.add_sep_token_id(ids["[SEP]"])
        writer.add_unk_token_id(ids["[UNK]"])
        writer.add_pad_token_id(ids["[PAD]"])
        writer.add_mask_token_id(ids["[MASK]"])
        writer.add_add_bos_token(True)
        writer.add_add_eos_token(True)


def read_safetensors(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """The tensors of a file that holds float32, float16 and integers."""
    kinds = {"F32": np.float32, "F16": np.float16, "I64": np.int64}
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        numbers = np.frombuffer(data[8 + size + begin : 8 + size + end], kinds[entry["dtype"]])
        tensors[name] = numbers.reshape(entry["shape"])
    return tensors


def _our_name(name: str, *, has_head: bool) -> str | None:
    """GGUF's name; None for what llama.cpp has no use for."""
    stem, _, suffix = name.rpartition(".")
    block = ""
    if match := re.match(r"encoder\.layer\.(\d+)\.(.*)", stem):
        block, stem = f"blk.{match[1]}.", match[2]
    if stem == "pooler.dense":  # A classifier's head begins with it; else nothing uses it.
        return f"cls.{suffix}" if has_head else None
    return f"{block}{_NAMES[stem]}.{suffix}" if stem in _NAMES else None


def _add(writer: gguf.GGUFWriter, name: str, weights: Array, kind: str) -> None:
    if weights.ndim < 2 or kind == "f32" or name.startswith(_ADDED):
        writer.add_tensor(name, weights.astype(np.float32))
    elif kind == "f16" or weights.shape[1] % 32:
        writer.add_tensor(name, weights.astype(np.float16))
    else:
        blocks = gguf.quants.quantize(weights.astype(np.float32), gguf.GGMLQuantizationType.Q8_0)
        writer.add_tensor(name, blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)


def _spelling(token: str, special: Sequence[str]) -> str:
    """llama.cpp marks where words begin, and WordPiece where they go on."""
    if token in special:
        return token
    return token[2:] if token.startswith("##") else "\u2581" + token
