"""What a model keeps in memory for each token and each sequence, read from its header.

The rules are those of the pinned llama.cpp.  Where a header leaves a layer's kind open, the
costlier one is assumed, so that an estimate errs on the safe side.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import ModelLoadError
from ._header import Header

__all__ = ["CacheCost", "Hyperparameters", "cache_cost"]

MAX_LAYERS = 512

_PURELY_RECURRENT = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
_BOTH_IN_EACH_LAYER = frozenset({"falcon-h1"})
_ATTENTION_AT_INTERVALS = frozenset({"qwen3next", "qwen35", "qwen35moe", "minimax-01"})
# Of so many layers in a row all but one look only at a window.
_WINDOW_PATTERNS = {
    "afmoe": 4,
    "cohere2": 4,
    "exaone-moe": 4,
    "exaone4": 4,
    "gemma2": 2,
    "gemma3": 6,
    "gemma3n": 5,
    "gpt-oss": 2,
    "llama4": 4,
    "olmo2": 4,
    "plamo3": 8,
    "smallthinker": 4,
}
_DEFAULT_WINDOWS = {"gemma2": 4096, "exaone4": 4096, "exaone-moe": 128, "llama4": 8192}


class Hyperparameters:
    """The settings of a header that belong to its architecture, with their defaults."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self.architecture = header.text("general.architecture") or ""
        self.layers = self.count("block_count")
        if not 0 <= self.layers <= MAX_LAYERS:
            message = f"{self.architecture}.block_count is {self.layers}, not 0 to {MAX_LAYERS}"
            raise ModelLoadError(message)

    def has(self, key: str) -> bool:
        return f"{self.architecture}.{key}" in self._header.metadata

    def count(self, key: str, default: int = 0) -> int:
        """A setting that is a whole number; of one per layer the largest."""
        values = self.per_layer(key)
        return max(values) if values else default

    def per_layer(self, key: str) -> tuple[int, ...]:
        """A setting with one number for each layer, or one for all; empty where it is absent."""
        value = self._header.metadata.get(f"{self.architecture}.{key}")
        if isinstance(value, int):  # A truth value counts as 0 or 1.
            return (max(int(value), 0),)
        if isinstance(value, tuple) and all(isinstance(v, int) for v in value):
            return tuple(max(int(v), 0) for v in value)
        return ()

    def of_layer(self, key: str, layer: int, default: int = 0) -> int:
        values = self.per_layer(key)
        if not values:
            return default
        return values[layer] if layer < len(values) else values[-1]


@dataclass(frozen=True)
class CacheCost:
    """Memory for context, before the number of tokens is chosen.

    Attributes:
        full_values: Numbers kept for each token by the layers that see the whole context.
        window_values: Numbers kept for each token by the layers that see only a window.
        window: Tokens in that window, 0 without one.
        recurrent_bytes: Kept for each sequence, however long.
    """

    full_values: int = 0
    window_values: int = 0
    window: int = 0
    recurrent_bytes: int = 0


def cache_cost(model: Hyperparameters) -> CacheCost:
    """What the model keeps for each token and each sequence.

    Raises:
        ModelLoadError: The header's numbers are impossible.
    """
    window = model.count("attention.sliding_window", _DEFAULT_WINDOWS.get(model.architecture, 0))
    full_values = window_values = recurrent_layers = 0
    for layer in range(model.layers):
        is_recurrent = _is_recurrent(model, layer)
        recurrent_layers += is_recurrent
        if is_recurrent and model.architecture not in _BOTH_IN_EACH_LAYER:
            continue
        if window and _is_windowed(model, layer):
            window_values += _attention_values(model, layer, "_swa")
        else:
            full_values += _attention_values(model, layer, "")
    return CacheCost(
        full_values, window_values, window, 4 * recurrent_layers * _recurrent_values(model)
    )


def _attention_values(model: Hyperparameters, layer: int, suffix: str) -> int:
    """Keys and values of one token in one layer."""
    if model.of_layer("attention.causal", layer, 1) == 0:
        return 0  # An encoder sees its whole text at once and keeps nothing.
    if layer >= _first_sharing_layer(model):
        return 0
    heads = model.of_layer("attention.head_count", layer, 1)
    kv_heads = model.of_layer("attention.head_count_kv", layer, heads)
    width = model.count("embedding_length") // max(heads, 1)
    key = model.count("attention.key_length", width)
    value = model.count("attention.value_length", width)
    if suffix:
        key = model.count("attention.key_length" + suffix, key)
        value = model.count("attention.value_length" + suffix, value)
    if model.has("attention.key_length_mla"):
        value = 0  # Multi-head latent attention derives values from the keys that it keeps.
    return kv_heads * (key + value)


def _first_sharing_layer(model: Hyperparameters) -> int:
    """From this layer on, an earlier layer's cache is used."""
    if model.architecture == "gemma3n":
        return 20
    return model.layers - model.count("attention.shared_kv_layers")


def _is_windowed(model: Hyperparameters, layer: int) -> bool:
    pattern = model.per_layer("attention.sliding_window_pattern")
    if len(pattern) > 1:
        return bool(layer < len(pattern) and pattern[layer])
    period = pattern[0] if pattern else _WINDOW_PATTERNS.get(model.architecture, 1)
    return period == 0 or layer % period != period - 1


def _is_recurrent(model: Hyperparameters, layer: int) -> bool:
    architecture = model.architecture
    if architecture in _PURELY_RECURRENT or architecture in _BOTH_IN_EACH_LAYER:
        return True
    if model.has("attention.recurrent_layers"):
        return model.of_layer("attention.recurrent_layers", layer) != 0
    if architecture in _ATTENTION_AT_INTERVALS:
        return (layer + 1) % max(model.count("full_attention_interval", 4), 1) != 0
    if not _recurrent_values(model) or model.of_layer("attention.head_count_kv", layer, 1):
        return False
    # Nemotron-H has layers of a third kind, with neither attention nor a state.
    return architecture not in {"nemotron_h", "nemotron_h_moe"} or not model.of_layer(
        "feed_forward_length", layer
    )


def _recurrent_values(model: Hyperparameters) -> int:
    """Numbers that one recurrent layer keeps for one sequence."""
    embedding = model.count("embedding_length")
    if wkv := model.count("wkv.head_size"):
        return embedding * (model.count("token_shift_count", 2) + wkv)
    if short := model.count("shortconv.l_cache"):
        return embedding * (short - 1)
    kernel = model.count("ssm.conv_kernel")
    if kda := model.count("kda.head_dim"):
        inner = model.count("attention.head_count") * kda
        return inner * (3 * (kernel - 1 if kernel else 3) + kda)
    inner, state = model.count("ssm.inner_size"), model.count("ssm.state_size")
    convolution = max(kernel - 1, 0) * (inner + 2 * model.count("ssm.group_count") * state)
    return convolution + state * inner
