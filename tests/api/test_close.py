"""The end of a model: close(), a with block, or nobody who holds it."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from llmlocal import LLM, EngineClosedError

from ..conftest import OpenTiny, TinyPath
from .child import OPEN, run_python
from .waiting import wait_until

ENDLESS: Any = {"max_tokens": None, "temp": 0}
on_linux = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads /proc")
# The C library keeps freed memory for later, and some for each thread, unless it is told not to.
GIVES_BACK = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "65536",
}
ENGINE_AND_ONE_WORKER = 2  # The engine's own thread works too.


def test_closed_is_closed(tiny_llm: LLM) -> None:
    seen = [tiny_llm.closed]
    for _ in range(2):
        tiny_llm.close()
        seen.append(tiny_llm.closed)
    assert seen == [False, True, True]


def test_a_with_block_closes_it(open_tiny: OpenTiny) -> None:
    with open_tiny() as llm:
        assert llm.generate("hello", max_tokens=1)
        assert repr(llm) == "<LLM 'tiny-llama.gguf' device='CPU', n_ctx=512>"
    assert llm.closed
    assert repr(llm) == "<LLM 'tiny-llama.gguf' closed>"


@pytest.mark.parametrize(
    "use",
    [
        lambda llm: llm.generate("hello"),
        lambda llm: llm.generate(["hello"]),
        lambda llm: llm.generate([300]),
        lambda llm: llm.generate("hello", streaming=True),
        lambda llm: llm.tokenize("hello"),
        lambda llm: llm.detokenize([300]),
        lambda llm: llm.count_tokens("hello"),
        lambda llm: llm.encode_segments([("hello", True)]),
        lambda llm: llm.chat_template(),
    ],
)
def test_a_closed_model_says_so(use: Callable[[LLM], object], tiny_llm: LLM) -> None:
    tiny_llm.close()
    with pytest.raises(EngineClosedError, match="the model was closed"):
        use(tiny_llm)


def test_a_closed_model_still_knows_what_it_was(tiny_llm: LLM) -> None:
    tiny_llm.generate("hello", max_tokens=3)
    tiny_llm.close()
    assert tiny_llm.path.name == "tiny-llama.gguf"
    assert tiny_llm.metadata["general.architecture"] == "llama"
    assert (tiny_llm.n_ctx, tiny_llm.n_threads) == (512, 1)
    assert (tiny_llm.device, tiny_llm.backend) == ("CPU", "cpu")
    stats = tiny_llm.stats()
    assert (stats.sequences_active, stats.waiting, stats.completion_tokens) == (0, 0, 3)


def test_everyone_who_waits_is_told(open_tiny: OpenTiny) -> None:
    """Those that run, those in their prompt and those in the queue."""
    llm = open_tiny(n_ctx=100_000, n_parallel=2)
    prompts: list[Any] = ["hello", [300] * 30_000, "hello", "hello", ["one", "two"]]

    def ask(prompt: Any) -> object:
        with pytest.raises(EngineClosedError, match="the model was closed"):
            llm.generate(prompt, **ENDLESS)
        return None

    with ThreadPoolExecutor(len(prompts)) as callers:
        asked = [callers.submit(ask, prompt) for prompt in prompts]
        wait_until(lambda: llm.stats().waiting == 4)
        llm.close()
        for each in asked:
            each.result()
    assert llm.stats().sequences_active == 0
    assert llm.stats().waiting == 0


def test_threads_may_close_it_at_once(open_tiny: OpenTiny) -> None:
    llm = open_tiny(n_ctx=100_000)
    stream = llm.generate("hello", streaming=True, **ENDLESS)
    next(stream)
    together = threading.Barrier(8)

    def close() -> bool:
        together.wait()
        llm.close()
        # Whoever returns finds it closed: all work is done.
        return llm.stats().sequences_active == 0

    with ThreadPoolExecutor(8) as closers:
        assert all(each.result() for each in [closers.submit(close) for _ in range(8)])


@on_linux
def test_a_model_that_nobody_holds_is_freed(tiny_path: TinyPath) -> None:
    """At once, with its threads and its file."""
    program = f"""{OPEN}
import weakref
def threads():
    return set(os.listdir("/proc/self/task"))
def is_mapped():
    return os.path.basename(sys.argv[1]) in open("/proc/self/maps").read()

tiny().close()  # What the first model starts for the whole process is not this one's.
before = threads()
llm = LLM(sys.argv[1], device="cpu", n_threads=2, progress=False)
llm.generate("hello", max_tokens=3)
# The thread that loaded it has ended, or will in a moment.
wait_until(lambda: len(threads() - before) == {ENGINE_AND_ONE_WORKER})
own = threads() - before
assert is_mapped()
trace = weakref.ref(llm)
del llm
assert trace() is None
assert not is_mapped()
wait_until(lambda: not threads() & own)
"""
    done = run_python(program, tiny_path("llama"))
    assert (done.returncode, done.stderr) == (0, "")


def test_so_is_one_with_an_open_stream(tiny_path: TinyPath) -> None:
    llm = LLM(tiny_path("llama"), n_threads=1, progress=False)
    stream = llm.generate("hello", max_tokens=2, streaming=True)
    assert stream.result.finish_reason == "length"
    trace = weakref.ref(llm)
    del llm, stream
    gc.collect()
    assert trace() is None


def test_a_stream_holds_its_model_until_it_has_all(tiny_path: TinyPath) -> None:
    llm = LLM(tiny_path("llama"), n_threads=1, progress=False)
    stream = llm.generate("hello", max_tokens=500, temp=0, streaming=True)
    trace = weakref.ref(llm)
    del llm
    gc.collect()
    assert trace() is not None
    assert stream.result.finish_reason in ("length", "stop")
    gc.collect()
    assert trace() is None


@on_linux
def test_memory_stays_flat_when_models_come_and_go(tiny_path: TinyPath) -> None:
    program = f"""{OPEN}
def memory():
    fields = open("/proc/self/statm").read().split()
    page = os.sysconf("SC_PAGE_SIZE")
    return int(fields[1]) * page, int(fields[5]) * page  # resident, writable
def come_and_go(times):
    for _ in range(times):
        with tiny() as llm:
            llm.generate("hello", max_tokens=2)
            held = memory()
    return held

come_and_go(2)
before = memory()
held = come_and_go(40)
after = memory()
for figures in zip(before, held, after):
    print(*figures)
"""
    done = run_python(program, tiny_path("llama"), **GIVES_BACK)
    assert (done.returncode, done.stderr) == (0, "")
    # The C library keeps the address space of a thread's stack or two.
    stacks = 2 * (8 << 20)
    for line, kept in zip(done.stdout.splitlines(), (0, stacks), strict=True):
        before, held, after = map(int, line.split())
        assert held - before > 1_000_000  # What one of them takes; so it is measured.
        assert after - before < 1_000_000 + kept
