from __future__ import annotations

import pytest

from llmlocal import LLM, models
from llmlocal._memory_use import MemoryUse, memory_by_device

from ..conftest import OpenTiny
from ..real_models import real_model

MB = 2**20


def test_buffers_belong_to_their_device_and_all_others_to_the_main_memory() -> None:
    memory = memory_by_device(
        {"CUDA0": 10, "CUDA0_Split": 3, "CUDA1": 20, "CPU_Mapped": 5, "CPU_REPACK": 2},
        {"CUDA0": 1, "CUDA_Host": 7, "CPU": 4},
        100,
        {"CUDA0": "CUDA0", "CUDA1": "CUDA1"},
    )
    assert memory == {
        "CPU": MemoryUse(weights=7, context=11, prefixes=100),
        "CUDA0": MemoryUse(weights=13, context=1),
        "CUDA1": MemoryUse(weights=20),
    }
    assert memory["CPU"].total == 118


def test_a_servers_buffers_are_told_apart_by_its_address() -> None:
    memory = memory_by_device(
        {"RPC0[a:1]": 1, "RPC0[b:1]": 2}, {}, 0, {"RPC0": "RPC0[a:1]", "RPC1": "RPC0[b:1]"}
    )
    assert [memory[name].weights for name in ("CPU", "RPC0", "RPC1")] == [0, 1, 2]


def test_it_tells_the_context_and_its_growth(open_tiny: OpenTiny) -> None:
    llm = open_tiny(n_ctx=20_000, n_parallel=4)
    before = llm.memory()["CPU"].context
    # llama.cpp tells sizes to a hundredth of a MiB.
    assert before > llm.stats().sequence_bytes - 0.01 * MB
    llm.generate(["one", "two", "three", "four"], max_tokens=2)
    grown = (llm.stats().sequences - 1) * llm.stats().sequence_bytes
    assert grown > 0
    assert llm.memory()["CPU"].context > before + 0.9 * grown


def test_it_tells_the_weights_of_the_file(open_tiny: OpenTiny) -> None:
    llm = open_tiny()
    weights = models.inspect(llm.path).memory().weights
    assert abs(llm.memory()["CPU"].weights - weights) < 0.1 * MB


@pytest.mark.parametrize("flash_attention", [True, False])
def test_a_context_takes_what_was_estimated(*, flash_attention: bool) -> None:
    """The estimate knows how many rows and logits the engine has room for."""
    path = real_model("smollm2-135m-instruct")
    estimate = models.inspect(path).memory(1024, flash_attention=flash_attention)
    with LLM(
        path, n_ctx=1024, n_parallel=1, flash_attention=flash_attention, progress=False
    ) as llm:
        compute = llm.memory()["CPU"].context - estimate.kv
    assert compute <= estimate.compute <= 1.34 * compute
