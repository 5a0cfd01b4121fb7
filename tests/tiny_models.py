"""Tiny models with seeded random weights, one for each kind of memory; a few hundred kilobytes.

They say nothing sensible, but greedy decoding wanders through the vocabulary, so that two texts are
equal only if the same numbers were computed.  Control tokens and stray bytes have zero output
weights: a model ends its text, or tears a character, only where a test makes it, with
``logit_bias``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

from .tiny_vocab import Vocab, bpe_vocab, spm_vocab

Array = npt.NDArray[np.float32]
Setting = bool | int | float | str | list[int] | list[str] | list[bool] | np.uint16 | np.int32

WIDTH = 64
HEADS = 4
FEED_FORWARD = 96
WINDOW = 32  # Tokens that the local layers of the sliding-window model see.

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% endif %}"
)
CHAT_TEMPLATE_SPM = (
    "{{ bos_token }}{% for message in messages %}{{ '<start_of_turn>' + message['role'] + '\n' + "
    "message['content'] + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<start_of_turn>model\n' }}{% endif %}"
)


@dataclass(frozen=True)
class TinyModel:
    """What goes into a file.

    Attributes:
        architecture: As in ``general.architecture``.
        vocab: Its vocabulary.
        settings: Header entries; a key that begins with a dot belongs to the architecture.
        tensors: Weights by name.
    """

    architecture: str
    vocab: Vocab
    settings: Mapping[str, Setting]
    tensors: Mapping[str, Array]

    def changed(
        self,
        *,
        vocab: Vocab | None = None,
        settings: Mapping[str, Setting] | None = None,
        tensors: Mapping[str, Array] | None = None,
        without: Iterable[str] = (),
    ) -> TinyModel:
        """A copy with other or more entries, and without the named ones."""
        gone = set(without)
        entries = {**self.settings, **(settings or {})}
        weights = {**self.tensors, **(tensors or {})}
        return TinyModel(
            self.architecture,
            vocab or self.vocab,
            {name: value for name, value in entries.items() if name not in gone},
            {name: value for name, value in weights.items() if name not in gone},
        )

    def write(self, path: Path) -> Path:
        writer = gguf.GGUFWriter(path, self.architecture)
        for name, value in self.settings.items():
            _write_setting(writer, self.architecture + name if name[0] == "." else name, value)
        _write_vocab(writer, self.vocab)
        for name, weights in self.tensors.items():
            writer.add_tensor(name, weights)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path


def llama(*, seed: int = 1, vocab: Vocab | None = None, layers: int = 2) -> TinyModel:
    """Plain attention with shared key heads, a BPE vocabulary and a chat template."""
    weights = _Weights(seed, vocab or bpe_vocab())
    for layer in range(layers):
        weights.attention(layer, key_heads=2)
        weights.feed_forward(layer)
    settings = {**_common(layers=layers, key_heads=2), "tokenizer.chat_template": CHAT_TEMPLATE}
    return TinyModel("llama", weights.vocab, settings, weights.tensors)


def gemma(*, seed: int = 2, vocab: Vocab | None = None) -> TinyModel:
    """Gemma 3's: layers that see a sliding window alternate with layers that see everything."""
    # Gemma multiplies embeddings by the root of the width.
    weights = _Weights(seed, vocab or spm_vocab(add_space_prefix=False), 1 / WIDTH**0.5)
    for layer in range(4):
        weights.attention(layer, key_heads=2)
        weights.feed_forward(layer)
        weights.norm(f"blk.{layer}.attn_q_norm", WIDTH // HEADS)
        weights.norm(f"blk.{layer}.attn_k_norm", WIDTH // HEADS)
        weights.norm(f"blk.{layer}.post_attention_norm", WIDTH)
        weights.norm(f"blk.{layer}.post_ffw_norm", WIDTH)
    settings = {
        **_common(layers=4, key_heads=2),
        ".attention.sliding_window": WINDOW,
        ".attention.sliding_window_pattern": 2,
        "tokenizer.chat_template": CHAT_TEMPLATE_SPM,
    }
    return TinyModel("gemma3", weights.vocab, settings, weights.tensors)


def mamba(*, seed: int = 3, vocab: Vocab | None = None) -> TinyModel:
    """No attention: one state that every token changes."""
    weights = _Weights(seed, vocab or bpe_vocab())
    for layer in range(2):
        weights.state_space(layer)
    settings = {**_common(layers=2, key_heads=0), ".attention.head_count": 0, **_STATE_SPACE}
    return TinyModel("mamba", weights.vocab, settings, weights.tensors)


def jamba(*, seed: int = 4, vocab: Vocab | None = None) -> TinyModel:
    """A hybrid: layers with a state alternate with layers of attention."""
    weights = _Weights(seed, vocab or bpe_vocab())
    key_heads = [0, 2, 0, 2]
    for layer, heads in enumerate(key_heads):
        if heads:
            weights.attention(layer, key_heads=heads)
        else:
            weights.state_space(layer, norms=True)
        weights.feed_forward(layer)
    settings = {
        **_common(layers=4, key_heads=2),
        ".attention.head_count_kv": key_heads,
        **_STATE_SPACE,
    }
    return TinyModel("jamba", weights.vocab, settings, weights.tensors)


MODELS: dict[str, Callable[[], TinyModel]] = {
    "llama": llama,
    "gemma": gemma,
    "mamba": mamba,
    "jamba": jamba,
}
"""One of each kind of memory: full attention, sliding window, recurrent, hybrid."""

_INNER = 2 * WIDTH
_STATE = 8
_KERNEL = 4
_STEP_RANK = 4

_STATE_SPACE: dict[str, Setting] = {
    ".ssm.conv_kernel": _KERNEL,
    ".ssm.inner_size": _INNER,
    ".ssm.state_size": _STATE,
    ".ssm.time_step_rank": _STEP_RANK,
}


def _common(*, layers: int, key_heads: int) -> dict[str, Setting]:
    return {
        "general.name": "tiny",
        ".context_length": 8192,
        ".embedding_length": WIDTH,
        ".block_count": layers,
        ".feed_forward_length": FEED_FORWARD,
        ".attention.head_count": HEADS,
        ".attention.head_count_kv": key_heads,
        ".attention.layer_norm_rms_epsilon": 1e-5,
    }


@dataclass
class _Weights:
    """Draws weights whose sizes keep every layer's part in the result about equal."""

    seed: int
    vocab: Vocab
    embedding: float = 1.0
    tensors: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)
        size = len(self.vocab.tokens)
        self.tensors["token_embd.weight"] = self._draw((size, WIDTH), self.embedding)
        output = self._draw((size, WIDTH), 3.0 / WIDTH**0.5)
        output[self.vocab.unprintable()] = 0
        self.tensors["output.weight"] = output
        self.norm("output_norm", WIDTH)

    def norm(self, name: str, size: int, gain: float = 1.0) -> None:
        self.tensors[f"{name}.weight"] = gain + self._draw((size,), 0.1 * gain)

    def matrix(self, name: str, inputs: int, outputs: int, gain: float = 1.0) -> None:
        self.tensors[f"{name}.weight"] = self._draw((outputs, inputs), gain / inputs**0.5)

    def attention(self, layer: int, *, key_heads: int) -> None:
        block = f"blk.{layer}"
        keys = WIDTH // HEADS * key_heads
        self.norm(f"{block}.attn_norm", WIDTH)
        self.matrix(f"{block}.attn_q", WIDTH, WIDTH)
        self.matrix(f"{block}.attn_k", WIDTH, keys)
        self.matrix(f"{block}.attn_v", WIDTH, keys)
        self.matrix(f"{block}.attn_output", WIDTH, WIDTH, 2.0)

    def feed_forward(self, layer: int) -> None:
        block = f"blk.{layer}"
        self.norm(f"{block}.ffn_norm", WIDTH)
        self.matrix(f"{block}.ffn_gate", WIDTH, FEED_FORWARD)
        self.matrix(f"{block}.ffn_up", WIDTH, FEED_FORWARD)
        self.matrix(f"{block}.ffn_down", FEED_FORWARD, WIDTH, 2.0)

    def state_space(self, layer: int, *, norms: bool = False) -> None:
        block = f"blk.{layer}"
        self.norm(f"{block}.attn_norm", WIDTH)
        self.matrix(f"{block}.ssm_in", WIDTH, 2 * _INNER)
        self.tensors[f"{block}.ssm_conv1d.weight"] = self._draw((_INNER, _KERNEL), 0.5)
        self.tensors[f"{block}.ssm_conv1d.bias"] = self._draw((_INNER,), 0.1)
        self.matrix(f"{block}.ssm_x", _INNER, _STEP_RANK + 2 * _STATE, 2.0)
        self.matrix(f"{block}.ssm_dt", _STEP_RANK, _INNER)
        self.tensors[f"{block}.ssm_dt.bias"] = self._draw((_INNER,), 0.5)
        # From a state that lasts for hundreds of tokens to one that is gone after the next.
        decay = -np.geomspace(1 / 512, 1, _STATE).astype(np.float32)
        self.tensors[f"{block}.ssm_a"] = decay[None, :].repeat(_INNER, axis=0)
        self.tensors[f"{block}.ssm_d"] = 1 + self._draw((_INNER,), 0.1)
        self.matrix(f"{block}.ssm_out", _INNER, WIDTH, 3.0)
        if norms:
            self.norm(f"{block}.ssm_dt_norm", _STEP_RANK)
            self.norm(f"{block}.ssm_b_norm", _STATE)
            self.norm(f"{block}.ssm_c_norm", _STATE)

    def _draw(self, shape: tuple[int, ...], deviation: float) -> Array:
        return self._random.normal(0, deviation, shape).astype(np.float32)


def _write_setting(writer: gguf.GGUFWriter, key: str, value: Setting) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, np.uint16):
        writer.add_uint16(key, int(value))
    elif isinstance(value, np.int32):
        writer.add_int32(key, int(value))
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)


def _write_vocab(writer: gguf.GGUFWriter, vocab: Vocab) -> None:
    writer.add_tokenizer_model(vocab.model)
    if vocab.pre is not None:
        writer.add_tokenizer_pre(vocab.pre)
    writer.add_token_list([text for text, _ in vocab.tokens])
    writer.add_token_types([int(kind) for _, kind in vocab.tokens])
    if vocab.merges:
        writer.add_token_merges(list(vocab.merges))
    else:
        writer.add_token_scores([-float(rank) for rank in range(len(vocab.tokens))])
    for name, token in vocab.special.items():
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", token)
    for name, flag in vocab.flags.items():
        writer.add_bool(f"tokenizer.ggml.{name}", flag)


def fill_in_model(folder: Path) -> Path:
    """A model with tokens for what goes between two texts."""
    model = llama()
    control = [model.vocab.id(text) for text in ("<|im_start|>", "<|eom_id|>", "<tool_call>")]
    names = ("fim_pre_token_id", "fim_suf_token_id", "fim_mid_token_id")
    settings = {f"tokenizer.ggml.{name}": token for name, token in zip(names, control, strict=True)}
    return model.changed(settings=settings).write(folder / "fills-in.gguf")
