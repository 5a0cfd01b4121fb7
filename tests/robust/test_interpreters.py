"""The interpreter's own life: its end at any moment, other interpreters, objects made by threads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ..api.child import OPEN, run_python
from ..conftest import TinyPath
from ..tiny_models import TinyModel, llama
from ..tiny_vocab import Kind, bpe_vocab

LOADING = (
    OPEN
    + """
def work():
    while True:
        started.set()
        tiny(n_ctx=64).close()
started = threading.Event()
for _ in range(2):
    threading.Thread(target=work, daemon=True).start()
started.wait()
threading.Event().wait(int(sys.argv[2]) / 1000)
"""
)


@pytest.mark.parametrize("after_ms", range(0, 200, 20))
def test_exit_while_daemon_threads_load(after_ms: int, tiny_path: TinyPath) -> None:
    done = run_python(LOADING, tiny_path("llama"), str(after_ms))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_exit_in_the_callback_of_a_load(tiny_path: TinyPath) -> None:
    """The thread loses the interpreter in Python code that C++ called."""
    program = (
        OPEN
        + """
def hold(progress):
    inside.set()
    while True:
        pass
inside = threading.Event()
def work():
    LLM(sys.argv[1], device="cpu", n_threads=1, progress=hold)
threading.Thread(target=work, daemon=True).start()
inside.wait()
"""
    )
    done = run_python(program, tiny_path("llama"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


WAITING = {
    "generate": 'llm.generate("hello", max_tokens=None)',
    "stream": 'list(llm.generate("hello", max_tokens=None, streaming=True))',
    "chat": 'llm.chat("hello", max_tokens=None)',
    "asyncio": 'import asyncio; asyncio.run(llm.agenerate("hello", max_tokens=None))',
    "prompt": "llm.generate([300] * 90_000, max_tokens=1)",
}


@pytest.mark.parametrize("what", WAITING)
def test_a_daemon_thread_that_waits_for_a_text_says_nothing(what: str, tiny_path: TinyPath) -> None:
    """The closed model is an error to it, which nobody could handle any more."""
    program = (
        OPEN
        + f"""
llm = tiny(n_ctx=100_000)
def work():
    {WAITING[what]}
threading.Thread(target=work, daemon=True).start()
wait_until(lambda: llm.stats().sequences_active)
"""
    )
    done = run_python(program, tiny_path("llama"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


REPEATING = {
    "generate": 'llm.generate("hello", max_tokens=1)',
    "tokenize": 'llm.tokenize("hello")',
    "asyncio": 'await llm.agenerate("hello", max_tokens=1)',
    "chat": 'await llm.achat("hello", max_tokens=1)',
    "stream": '[piece async for piece in llm.astream_chat("hello", max_tokens=1)]',
}


@pytest.mark.parametrize("what", REPEATING)
def test_a_daemon_thread_that_asks_again_and_again_says_nothing(
    what: str, tiny_path: TinyPath
) -> None:
    """At the end it finds its model closed, or no thread of its event loop."""
    program = (
        OPEN
        + f"""
import asyncio
llm = tiny()
async def work():
    while True:
        {REPEATING[what]}
        answered.set()
answered = threading.Event()
threading.Thread(target=lambda: asyncio.run(work()), daemon=True).start()
answered.wait()
"""
    )
    done = run_python(program, tiny_path("llama"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_nothing_of_ours_delays_the_exit(tiny_path: TinyPath) -> None:
    """Only threads of others are held up; the thread that wakes tasks is one of ours."""
    program = """
import atexit, time
atexit.register(lambda: print(time.monotonic() - began < 1))
""" + (
        OPEN
        + """
import asyncio
llm = tiny()
asyncio.run(llm.agenerate("hello", max_tokens=1))
began = time.monotonic()
"""
    )
    done = run_python(program, tiny_path("llama"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


def test_a_thread_that_an_exit_handler_waits_for_comes_back(tiny_path: TinyPath) -> None:
    program = """
import atexit
def finish():
    thread.join()
    print("joined")
atexit.register(finish)
""" + (
        OPEN
        + """
llm = tiny(n_ctx=100_000)
def work():
    try:
        llm.generate("hello", max_tokens=None)
    except EngineClosedError:
        print("closed")
thread = threading.Thread(target=work, daemon=True)
thread.start()
wait_until(lambda: llm.stats().sequences_active)
"""
    )
    done = run_python(program, tiny_path("llama"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "closed\njoined\n", "")


def test_a_sub_interpreter_is_told_that_it_can_not(tiny_path: TinyPath) -> None:
    program = """
import _xxsubinterpreters as interpreters
import llmlocal
other = interpreters.create(isolated=False)
interpreters.run_string(other, '''
try:
    from llmlocal import _core
except ImportError as error:
    print(error)
''')
"""
    done = run_python(program, tiny_path("llama"))
    if "ModuleNotFoundError: No module named '_xxsubinterpreters'" in done.stderr:
        pytest.skip("this Python has sub-interpreters under another name")
    assert "can't be used in a sub-interpreter" in done.stdout, done.stderr
    assert done.returncode == 0


def test_threads_make_objects_at_once(tmp_path: Path) -> None:
    """pybind11 keeps books of all objects, which the interpreter's lock guards."""
    program = """
import sys, threading
from llmlocal import _core
from llmlocal._devices import _runtime
_runtime.start()
model = _core.Model.load(sys.argv[1], devices=[], gpu_layers=0, split_mode="layer", tensor_split=[],
    placements=[], use_mmap=True, check_tensors=False, vocab_only=True, on_progress=None)
def work():
    start.wait()
    for _ in range(100_000):
        _core.Tokenizer(model)
start = threading.Barrier(8)
threads = [threading.Thread(target=work) for _ in range(8)]
for each in threads: each.start()
for each in threads: each.join()
print("done")
"""
    # The fewer tokens there are, the more of the time goes into the books.
    vocab = replace(bpe_vocab(), tokens=(("a", Kind.NORMAL),), merges=("a a",), special={})
    path = TinyModel("llama", vocab, llama().settings, {}).write(tmp_path / "vocab.gguf")
    done = run_python(program, path)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr[-2000:]
