"""A program may end at any moment: quietly, with its own exit code, and without waiting for a text."""

from __future__ import annotations

import pytest

from ..conftest import TinyPath
from .child import OPEN, run_python

BEGIN = OPEN + "llm = tiny(n_ctx=100_000)\n"

BUSY = {
    "an open model": "",
    "an open stream": """
stream = llm.generate("hello", max_tokens=None, streaming=True)
next(stream)
""",
    "a stream in its prompt": """
stream = llm.generate([300] * 30_000, max_tokens=None, streaming=True)
wait_until(lambda: llm.stats().sequences_active)
""",
    "a generator that holds a stream": """
def pieces():
    with llm.generate("hello", max_tokens=None, streaming=True) as stream:
        yield from stream
text = pieces()
next(text)
""",
    "a model that asyncio has used": """
import asyncio
asyncio.run(llm.agenerate("hello", max_tokens=3))
""",
    "an open asynchronous stream": """
import asyncio
stream = llm.astream("hello", max_tokens=None)
asyncio.run(stream.__anext__())
""",
    "many models": """
more = [tiny() for _ in range(5)]
for each in more:
    each.generate("hello", max_tokens=2)
""",
}

QUIET_THREAD = """
def work(started=threading.Event()):
    try:
        {body}
    except EngineClosedError:
        pass
started = threading.Event()
threading.Thread(target=work, args=(started,), daemon=True).start()
started.wait()
"""

IN_A_DAEMON_THREAD = {
    "a callback": 'llm.generate("hello", max_tokens=None, callback=lambda *_: not started.set())',
    "a stream": """for piece in llm.generate("hello", max_tokens=None, streaming=True):
            started.set()""",
    "a blocking call": """threading.Thread(
            target=lambda: (wait_until(lambda: llm.stats().completion_tokens), started.set()),
            daemon=True,
        ).start()
        llm.generate("hello", max_tokens=None)""",
    "an event loop": """import asyncio
        async def read():
            async for piece in llm.astream("hello", max_tokens=None):
                started.set()
        asyncio.run(read())""",
}


@pytest.mark.parametrize("what", BUSY)
def test_with(what: str, tiny_path: TinyPath) -> None:
    done = run_python(BEGIN + BUSY[what], tiny_path("llama"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("what", IN_A_DAEMON_THREAD)
def test_in_a_daemon_thread(what: str, tiny_path: TinyPath) -> None:
    body = QUIET_THREAD.format(body=IN_A_DAEMON_THREAD[what])
    done = run_python(BEGIN + body, tiny_path("llama"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_with_an_unfinished_task(tiny_path: TinyPath) -> None:
    program = """
import asyncio
async def main():
    task = asyncio.create_task(llm.agenerate("hello", max_tokens=None))
    await asyncio.to_thread(wait_until, lambda: llm.stats().completion_tokens)
    return task
loop = asyncio.new_event_loop()
task = loop.run_until_complete(main())
"""
    done = run_python(BEGIN + program, tiny_path("llama"))
    assert done.returncode == 0
    # asyncio has something to say about the task; llmlocal has not.
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("last", "code"), [("sys.exit(7)", 7), ("raise OSError('mine')", 1), ("os._exit(9)", 9)]
)
def test_the_exit_code_is_the_program_s_own(last: str, code: int, tiny_path: TinyPath) -> None:
    done = run_python(BEGIN + BUSY["an open stream"] + last, tiny_path("llama"))
    assert done.returncode == code
    assert "llmlocal" not in done.stderr


def test_it_does_not_wait_for_a_step(tiny_path: TinyPath) -> None:
    """A step that takes longer than the test's patience is cut short."""
    program = """
llm = tiny(n_ctx=100_000, n_batch=65_536)
stream = llm.generate([300] * 99_000, streaming=True)
wait_until(lambda: llm.stats().sequences_active)
"""
    done = run_python(OPEN + program, tiny_path("llama"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
