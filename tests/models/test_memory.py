"""Memory estimates: equal to what llama.cpp allocates, kind by kind."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from llmlocal import _machine
from llmlocal.errors import ModelLoadError, ParameterError
from llmlocal.models._gguf._cache_cost import CacheCost, Hyperparameters, cache_cost
from llmlocal.models._gguf._header import Header, read_header
from llmlocal.models._gguf._memory import MemoryEstimate, estimate

from .gguf_bytes import Setting, build

LLAMA: dict[str, Setting] = {
    "general.architecture": "llama",
    "llama.block_count": 30,
    "llama.embedding_length": 576,
    "llama.feed_forward_length": 1536,
    "llama.attention.head_count": 9,
    "llama.attention.head_count_kv": 3,
    "llama.vocab_size": 49152,
}
GEMMA: dict[str, Setting] = {
    "general.architecture": "gemma3",
    "gemma3.block_count": 18,
    "gemma3.embedding_length": 640,
    "gemma3.feed_forward_length": 2048,
    "gemma3.attention.head_count": 4,
    "gemma3.attention.head_count_kv": 1,
    "gemma3.attention.key_length": 256,
    "gemma3.attention.value_length": 256,
    "gemma3.attention.sliding_window": 512,
    "gemma3.vocab_size": 262144,
}
MIB = 1 << 20


def header_of(settings: Mapping[str, Setting]) -> Header:
    data = build(settings, {"token_embd.weight": ((256, 4), "Q4_K")})
    pieces = iter([data])
    return read_header(lambda _: next(pieces, b""), "test.gguf", len(data))


def cost_of(settings: Mapping[str, Setting]) -> CacheCost:
    return cache_cost(Hyperparameters(header_of(settings)))


def memory_of(
    settings: Mapping[str, Setting],
    n_ctx: int,
    *,
    n_sequences: int = 1,
    n_batch: int = 512,
    kv_type: str = "f16",
    swa_full: bool = True,
    flash_attention: bool = True,
) -> MemoryEstimate:
    header = header_of(settings)
    return estimate(
        header,
        header.tensors,
        n_ctx,
        n_sequences=n_sequences,
        n_batch=n_batch,
        kv_type=kv_type,
        swa_full=swa_full,
        flash_attention=flash_attention,
    )


# What the pinned llama.cpp logs as the size of its caches for SmolLM2-135M and Gemma 3 270M.
MEASURED = [
    (LLAMA, {"n_ctx": 2048}, 45.0),
    (LLAMA, {"n_ctx": 2047}, 45.0),
    (LLAMA, {"n_ctx": 32768}, 720.0),
    (LLAMA, {"n_ctx": 2048, "n_sequences": 8}, 360.0),
    (LLAMA, {"n_ctx": 2048, "kv_type": "q8_0"}, 23.90625),
    (GEMMA, {"n_ctx": 2048}, 36.0),
    (GEMMA, {"n_ctx": 2048, "swa_full": False}, 21.0),
    (GEMMA, {"n_ctx": 2048, "n_batch": 128, "swa_full": False}, 17.25),
    (GEMMA, {"n_ctx": 32768}, 576.0),
    (GEMMA, {"n_ctx": 2048, "kv_type": "q8_0"}, 19.125),
]


@pytest.mark.parametrize(("settings", "arguments", "mib"), MEASURED)
def test_the_context_is_what_llama_cpp_allocates(
    settings: Mapping[str, Setting], arguments: dict[str, int], mib: float
) -> None:
    assert memory_of(settings, **arguments).kv / MIB == mib  # type: ignore[arg-type]  # by name


# The same for its work space, with its copies of logits; see the module under test for what is modelled.
@pytest.mark.parametrize(
    ("settings", "n_ctx", "n_batch", "mib"),
    [
        (LLAMA, 2048, 512, 15.70),
        (LLAMA, 2048, 128, 4.07),
        (LLAMA, 32768, 512, 45.70),
        (GEMMA, 2048, 512, 22.77),
        (GEMMA, 2048, 128, 17.35),
        (GEMMA, 32768, 512, 82.77),
    ],
)
def test_the_work_space_is_never_too_small_and_at_most_a_third_too_large(
    settings: Mapping[str, Setting], n_ctx: int, n_batch: int, mib: float
) -> None:
    assert mib <= memory_of(settings, n_ctx, n_batch=n_batch).compute / MIB <= 1.34 * mib


# The same without fused attention.
@pytest.mark.parametrize(
    ("settings", "n_ctx", "mib"),
    [
        (LLAMA, 512, 4.29),
        (LLAMA, 2048, 11.79),
        (LLAMA, 8192, 41.79),
        (GEMMA, 512, 17.35),
        (GEMMA, 2048, 17.77),
        (GEMMA, 8192, 27.44),
    ],
)
def test_attention_in_separate_steps_needs_room_for_its_scores(
    settings: Mapping[str, Setting], n_ctx: int, mib: float
) -> None:
    compute = memory_of(settings, n_ctx, flash_attention=False).compute
    assert mib <= compute / MIB <= 1.34 * mib


def test_long_contexts_have_no_more_scores_than_the_engine_allows() -> None:
    separate = memory_of(LLAMA, 65_536, flash_attention=False).compute
    rows = (256 << 20) // (4 * 65_536 * 9)
    assert (256 << 20) <= separate <= (256 << 20) + rows * 4 * (65_536 + 8 * 576) + (1 << 20)


def test_quantized_values_are_always_fused() -> None:
    both = [memory_of(LLAMA, 2048, kv_type="q8_0", flash_attention=on) for on in (True, False)]
    assert both[0] == both[1]


def test_weights_are_the_tensors_and_the_total_is_the_sum() -> None:
    memory = memory_of(LLAMA, 2048)

    assert memory.weights == 4 * 144
    assert memory.total == memory.weights + memory.kv + memory.recurrent + memory.compute
    assert memory.n_ctx == 2048


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"n_ctx": 0}, "n_ctx must be at least 1, got 0"),
        ({"n_ctx": 1, "n_sequences": 0}, "n_sequences must be at least 1, got 0"),
        ({"n_ctx": 1, "n_batch": -1}, "n_batch must be at least 1, got -1"),
        ({"n_ctx": 1, "kv_type": "q4_k"}, "kv_type must be one of f32, f16"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, int], reason: str) -> None:
    with pytest.raises(ParameterError, match=reason):
        memory_of(LLAMA, **arguments)  # type: ignore[arg-type]  # by name


def of(architecture: str, **settings: Setting) -> dict[str, Setting]:
    """Settings of an architecture; a double underscore stands for a dot."""
    return {"general.architecture": architecture} | {
        f"{architecture}.{key.replace('__', '.')}": value for key, value in settings.items()
    }


ATTENTION: dict[str, Setting] = {
    "embedding_length": 64,
    "attention__head_count": 4,
    "attention__head_count_kv": 2,
}
SSM: dict[str, Setting] = {"ssm__conv_kernel": 4, "ssm__inner_size": 128, "ssm__state_size": 16}
SSM_LAYER = 4 * (3 * 128 + 16 * 128)  # Bytes: convolution of 3 columns, and the state.
KINDS: dict[str, tuple[dict[str, Setting], CacheCost]] = {
    "plain": (of("llama", block_count=2, **ATTENTION), CacheCost(2 * 64)),
    "heads not grouped": (
        of("llama", block_count=2, embedding_length=64, attention__head_count=4),
        CacheCost(2 * 128),
    ),
    "heads by layer": (
        of("llama", block_count=2, **{**ATTENTION, "attention__head_count_kv": [1, 4]}),
        CacheCost(32 + 128),
    ),
    "encoder": (
        of("bert", block_count=2, attention__causal=False, **ATTENTION),
        CacheCost(0),
    ),
    "latent attention": (
        of("deepseek2", block_count=2, attention__key_length=576, attention__value_length=512,
           attention__key_length_mla=192, **{**ATTENTION, "attention__head_count_kv": 1}),
        CacheCost(2 * 576),
    ),
    "window of every other layer": (
        of("gemma2", block_count=4, **{**ATTENTION, "attention__head_count_kv": [1, 2, 1, 2]}),
        CacheCost(2 * 64, 2 * 32, 4096),
    ),
    "window by a list": (
        of("gemma4", block_count=3, attention__sliding_window=512, attention__key_length_swa=8,
           attention__value_length_swa=8, attention__sliding_window_pattern=[True, True, False],
           **ATTENTION),
        CacheCost(64, 2 * 32, 512),
    ),
    "window by a period": (
        of("cohere2", block_count=4, attention__sliding_window=128,
           attention__sliding_window_pattern=2, **ATTENTION),
        CacheCost(2 * 64, 2 * 64, 128),
    ),
    "window of unknown pattern": (
        of("phi3", block_count=4, attention__sliding_window=128, **ATTENTION),
        CacheCost(4 * 64, 0, 128),
    ),
    "layers that share a cache": (
        of("gemma4", block_count=4, attention__shared_kv_layers=3, **ATTENTION), CacheCost(64),
    ),
    "layers that share a cache, unsaid": (
        of("gemma3n", block_count=30, attention__sliding_window=512, **ATTENTION),
        CacheCost(4 * 64, 16 * 64, 512),
    ),
    "recurrent": (of("mamba", block_count=3, embedding_length=64, **SSM), CacheCost(0, 0, 0, 3 * SSM_LAYER)),
    "recurrent in groups": (
        of("mamba2", block_count=1, ssm__group_count=2, **SSM),
        CacheCost(0, 0, 0, SSM_LAYER + 4 * 3 * 2 * 2 * 16),
    ),
    "rwkv": (
        of("rwkv7", block_count=2, embedding_length=64, wkv__head_size=8),
        CacheCost(0, 0, 0, 2 * 4 * 64 * (2 + 8)),
    ),
    "short convolutions": (
        of("lfm2", block_count=3, shortconv__l_cache=3, **{**ATTENTION, "attention__head_count_kv": [0, 2, 0]}),
        CacheCost(64, 0, 0, 2 * 4 * 64 * 2),
    ),
    "delta attention": (
        of("kimi-linear", block_count=2, kda__head_dim=8, ssm__conv_kernel=4,
           **{**ATTENTION, "attention__head_count_kv": [0, 2]}),
        CacheCost(64, 0, 0, 4 * (4 * 8) * (3 * 3 + 8)),
    ),
    "hybrid by layer": (
        of("jamba", block_count=3, **{**ATTENTION, "attention__head_count_kv": [0, 2, 0]}, **SSM),
        CacheCost(64, 0, 0, 2 * SSM_LAYER),
    ),
    "hybrid in every layer": (
        of("falcon-h1", block_count=2, **ATTENTION, **SSM), CacheCost(2 * 64, 0, 0, 2 * SSM_LAYER),
    ),
    "hybrid at intervals": (
        of("qwen3next", block_count=8, **ATTENTION, **SSM), CacheCost(2 * 64, 0, 0, 6 * SSM_LAYER),
    ),
    "hybrid by a list": (
        of("qwen35", block_count=2, attention__recurrent_layers=[1, 0], **ATTENTION, **SSM),
        CacheCost(64, 0, 0, SSM_LAYER),
    ),
    "layers of neither kind": (
        of("nemotron_h", block_count=3, feed_forward_length=[0, 9, 0],
           **{**ATTENTION, "attention__head_count_kv": [0, 0, 2]}, **SSM),
        CacheCost(64, 0, 0, SSM_LAYER),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("settings", "cost"), KINDS.values(), ids=KINDS.keys())
def test_each_kind_of_memory_is_known(settings: dict[str, Setting], cost: CacheCost) -> None:
    assert cost_of(settings) == cost


@pytest.mark.parametrize("layers", [513, 10_000_000])
def test_an_impossible_number_of_layers_is_an_error(layers: int) -> None:
    with pytest.raises(ModelLoadError, match=f"block_count is {layers}"):
        cost_of(of("llama", block_count=layers))


def test_numbers_of_no_sense_do_no_harm() -> None:
    odd = of(
        "llama",
        block_count=1,
        embedding_length=-5,
        attention__head_count=0,
        attention__key_length="x",
    )

    assert cost_of(odd) == CacheCost(0)


def test_the_machine_has_memory() -> None:
    total, available = _machine.total_bytes(), _machine.available_bytes()

    assert total is not None
    assert available is not None
    assert 0 < available <= total
