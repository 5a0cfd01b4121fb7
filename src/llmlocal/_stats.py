"""What a loaded model holds and has done, as :meth:`llmlocal.LLM.stats` returns it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from llmlocal import _core

__all__ = ["Stats"]


@dataclass(frozen=True)
class Stats:
    """A snapshot of the engine.

    Attributes:
        sequences: Texts that the KV cache has room for now; more on demand, fewer where longer
            texts need the memory.
        sequences_active: Of these, the ones with a request running in them.
        sequences_limit: How many there may be while they are as long as they are now
            (``n_parallel``, or what ``kv_cache_bytes`` allows).
        sequence_tokens: Tokens that each has room for now; more on demand, up to ``n_ctx``.
        sequence_bytes: Memory of one of them now, in bytes.
        waiting: Requests that wait for a sequence, or for a prefix that another one evaluates.
        store_bytes: RAM that holds evaluated prefixes outside the KV cache, in bytes.
        store_budget: Its limit (``prefix_cache_bytes``).
        store_entries: Prefixes in it.
        disk_entries: Prefixes of this model in ``prefix_cache_path``, as last seen.
        threads: Threads that the last step used.
        requests: Requests so far.
        steps: Evaluated batches so far.
        prompt_tokens: Prompt tokens evaluated so far.
        cached_tokens: Prompt tokens that did not have to be evaluated, so far.
        completion_tokens: Tokens generated so far.
        prefix_hits: Requests that found a part of their prompt evaluated already.
        disk_hits: Of these, the ones that found it on disk.
        disk_tokens: Prompt tokens that these did not have to evaluate.
        disk_read_bytes: Read for them.
        disk_written_bytes: Written for later.
        kernels: What llmlocal's own CPU kernels are compiled for, "AVX-512 VNNI"; empty where there
            are none for this CPU, or ``LLMLOCAL_KERNELS=0`` switches them off.
    """

    sequences: int
    sequences_active: int
    sequences_limit: int
    sequence_tokens: int
    sequence_bytes: int
    waiting: int
    store_bytes: int
    store_budget: int
    store_entries: int
    disk_entries: int
    threads: int
    requests: int
    steps: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    prefix_hits: int
    disk_hits: int
    disk_tokens: int
    disk_read_bytes: int
    disk_written_bytes: int
    kernels: str

    @classmethod
    def of(cls, stats: _core.EngineStats, *, kernels: str) -> Stats:
        counts = {
            field.name: getattr(stats, field.name)
            for field in fields(cls)
            if field.name != "kernels"
        }
        return cls(kernels=kernels, **counts)
