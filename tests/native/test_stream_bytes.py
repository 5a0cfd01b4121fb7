"""What a sequence takes: estimates agree with llama.cpp, and nobody takes more than there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmlocal import LLM, OutOfMemoryError, _core
from llmlocal.models._gguf._header import read_header_of
from llmlocal.models._gguf._memory import estimate

from ..conftest import OpenTiny
from ..tiny_models import MODELS

MIB = 1 << 20
# llama.cpp tells its sizes in hundredths of a mebibyte, here of 1,024 tokens or of one state.
ROUNDING = 0.006 * MIB


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kv_type", ["f16", "f32"])
def test_the_estimate_is_what_a_stream_takes(name: str, kv_type: str, tmp_path: Path) -> None:
    path = MODELS[name]().write(tmp_path / "tiny.gguf")
    with LLM(path, n_ctx=1024, kv_type=kv_type) as llm:
        stats = llm.stats()
    header = read_header_of(path)
    expected = estimate(
        header,
        header.tensors,
        stats.sequence_tokens,
        n_sequences=1,
        n_batch=512,
        kv_type=kv_type,
        swa_full=True,
        flash_attention=False,
    )
    assert stats.sequence_tokens == 1024
    assert stats.sequence_bytes == pytest.approx(expected.kv + expected.recurrent, abs=2 * ROUNDING)


def test_a_context_beyond_the_free_memory_is_refused_before_it_is_taken(
    open_tiny: OpenTiny,
) -> None:
    stats = open_tiny("llama", kv_type="f32").stats()
    free = _core.free_memory()
    assert free is not None
    with pytest.raises(OutOfMemoryError, match=r"not enough memory .* lower n_ctx"):
        open_tiny(
            "llama", kv_type="f32", n_ctx=free * stats.sequence_tokens // stats.sequence_bytes
        )


def test_open_models_share_one_memory(open_tiny: OpenTiny) -> None:
    before = _core.promised_memory()
    first = open_tiny("llama", kv_cache_bytes=10 * MIB, prefix_cache_bytes=30 * MIB, n_parallel=256)
    promised = _core.promised_memory() - before
    taken = first.stats().sequence_bytes + first.memory()["CPU"].weights
    assert 40 * MIB - taken <= promised <= 40 * MIB + taken

    free = _core.free_memory()
    assert free is not None
    second = open_tiny("gemma")
    spare = free - before - promised
    assert second.stats().store_budget == pytest.approx(min(spare / 8, 4 << 30), rel=0.1)
    second.close()
    first.close()
    assert _core.promised_memory() == before
