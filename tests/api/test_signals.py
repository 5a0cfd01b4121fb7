"""Ctrl-C, as a terminal sends it, ends a wait for the engine at once and leaves the model usable."""

from __future__ import annotations

import os
import time

import pytest

from ..conftest import TinyPath
from .child import OPEN, Child
from .conftest import Report

pytestmark = pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")

# Far more than it takes (a tenth of a second), and far less than what is interrupted.
SOON_S = 10.0

BEGIN = (
    OPEN
    + """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # Shells ignore it for background jobs.

def when(fact):
    def watch():
        wait_until(fact)
        print("ready", flush=True)
    threading.Thread(target=watch, daemon=True).start()

def end():
    wait_until(lambda: llm.stats().sequences_active == 0 and llm.stats().waiting == 0)
    print("served", len(llm.generate("hello", max_tokens=3).tokens), flush=True)
"""
)

ANSWERS = "llm = tiny(n_ctx=100_000)\nwhen(lambda: llm.stats().completion_tokens)"
IN_ITS_PROMPT = "llm = tiny(n_ctx=100_000)\nwhen(lambda: llm.stats().steps)"
IN_THE_QUEUE = """
llm = tiny(n_ctx=100_000, n_parallel=1)
other = llm.generate("one", max_tokens=None, streaming=True)
threading.Thread(target=lambda: "".join(other), daemon=True).start()
wait_until(lambda: llm.stats().sequences_active)
when(lambda: llm.stats().waiting)
"""
LONG = "[300] * 90_000"  # minutes of work, in steps of less than a second


CALLS = {
    "an answer": (ANSWERS, "llm.generate('hello', max_tokens=None)"),
    "many answers": (ANSWERS, "llm.generate(['hello', 'one', 'two'], max_tokens=None)"),
    "a callback": (ANSWERS, "llm.generate('hello', max_tokens=None, callback=lambda *_: True)"),
    "a stream": (ANSWERS, "''.join(llm.generate('hello', max_tokens=None, streaming=True))"),
    "a result": (ANSWERS, "llm.generate('hello', max_tokens=None, streaming=True).result"),
    "an event loop": (ANSWERS, "asyncio.run(llm.agenerate('hello', max_tokens=None))"),
    "a prompt": (IN_ITS_PROMPT, f"llm.generate({LONG})"),
    "a stream's prompt": (IN_ITS_PROMPT, f"next(llm.generate({LONG}, streaming=True))"),
    "the queue": (IN_THE_QUEUE, "llm.generate('hello')"),
}


@pytest.mark.parametrize("what", CALLS)
def test_in(what: str, tiny_path: TinyPath, report: Report) -> None:
    scene, call = CALLS[what]
    others = "other.close()" if scene is IN_THE_QUEUE else ""
    program = f"""{BEGIN}
import asyncio
{scene}
try:
    {call}
except KeyboardInterrupt:
    print("interrupted", flush=True)
{others}
end()
"""
    with Child(program, tiny_path("llama")) as child:
        assert child.read_line() == "ready"
        sent = time.monotonic()
        child.interrupt()
        assert child.read_line() == "interrupted"
        took = time.monotonic() - sent
        assert child.end() == (0, "served 3\n", "")
    report(f"interrupted after {took:.3f} s")
    assert took < SOON_S


def test_while_a_request_starts(tiny_path: TinyPath) -> None:
    """It has begun, and nobody knows it yet."""
    program = f"""{BEGIN}
llm = tiny(n_ctx=100_000)
begin = threading.Semaphore(0)
def interrupt():
    while True:
        begin.acquire()
        signal.raise_signal(signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
# Nobody has to give up the interpreter's lock: the first to do so is the call that starts a request.
sys.setswitchinterval(PATIENCE_S)
for _ in range(10):
    try:
        begin.release()
        llm.generate([300], max_tokens=None, seed=1)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
sys.setswitchinterval(0.005)
end()
"""
    with Child(program, tiny_path("llama")) as child:
        assert child.end() == (0, 10 * "interrupted\n" + "served 3\n", "")


def test_the_rest_of_a_stream_can_be_read(tiny_path: TinyPath) -> None:
    program = f"""{BEGIN}
llm = tiny(n_ctx=100_000)
stream = llm.generate("hello", max_tokens=None, streaming=True)
seen = []
try:
    for piece in stream:
        seen.append(piece)
        if len(seen) == 1:
            print("ready", flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
stream.cancel()  # It may have come between two pieces, when the stream can't know of it.
seen += stream
assert stream.result.finish_reason == "cancelled"
end()
"""
    with Child(program, tiny_path("llama")) as child:
        assert child.read_line() == "ready"
        child.interrupt()
        assert child.read_line() == "interrupted"
        assert child.end() == (0, "served 3\n", "")


@pytest.mark.parametrize(
    "call",
    [
        "llm.generate('hello', max_tokens=None, callback=lambda *_: not next_count())",
        "sum(1 for _ in iter(lambda: next(stream) and not next_count(), False))",
    ],
)
def test_a_handler_that_returns_changes_nothing(call: str, tiny_path: TinyPath) -> None:
    program = f"""{BEGIN}
handled = threading.Event()
signal.signal(signal.SIGINT, lambda *_: handled.set())
counter = iter(range(101))
def next_count():
    return handled.is_set() and next(counter) == 100
{ANSWERS}
stream = llm.generate("hello", max_tokens=None, streaming=True)
{call}
print("went on", flush=True)
stream.close()
end()
"""
    with Child(program, tiny_path("llama")) as child:
        assert child.read_line() == "ready"
        child.interrupt()
        assert child.read_line() == "went on"
        assert child.end() == (0, "served 3\n", "")


def test_while_a_model_loads(tiny_path: TinyPath) -> None:
    """The progress callback runs in the loading thread, where the interrupt arrives."""
    program = f"""{BEGIN}
def report(progress):
    print("ready", flush=True)
    threading.Event().wait(PATIENCE_S)

try:
    LLM(sys.argv[1], progress=report)
except KeyboardInterrupt:
    print("interrupted", flush=True)
llm = tiny()
end()
"""
    with Child(program, tiny_path("llama")) as child:
        assert child.read_line() == "ready"
        child.interrupt()
        assert child.read_line() == "interrupted"
        assert child.end() == (0, "served 3\n", "")


def test_uncaught_it_ends_the_program(tiny_path: TinyPath) -> None:
    program = f"{BEGIN}\n{ANSWERS}\nllm.generate('hello', max_tokens=None)"
    with Child(program, tiny_path("llama")) as child:
        assert child.read_line() == "ready"
        child.interrupt()
        code, out, err = child.end()
    assert (code, out) == (-2, "")
    assert err.rstrip().endswith("KeyboardInterrupt")
