"""A forked child can't use its parent's model: it is told so, ends well, and harms nobody."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ..conftest import TinyPath
from .child import OPEN, run_python

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

FORK = (
    OPEN
    + """
import asyncio, warnings
warnings.simplefilter("ignore")  # Python warns of forks beside threads, which is what this is about.

def in_a_child(work):
    child = os.fork()
    if child == 0:
        try:
            work()
        except EngineError as error:
            print(type(error).__name__, error, flush=True)
        sys.exit(5)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 5, status

llm = tiny(n_ctx=100_000)
expected = llm.generate("hello", temp=0, max_tokens=5)
stream = llm.generate("one two", max_tokens=None, streaming=True)
next(stream)
"""
)
PARENT_GOES_ON = """
assert next(stream)
stream.close()
assert len(llm.generate("hello", temp=0, max_tokens=5).tokens) == 5
print("parent done", llm.stats().sequences_active)
"""

REFUSED = (
    "EngineError this model was loaded before the process forked and can't be used in the child; "
    'load it in the child, or start the child with the "spawn" method'
)
NOT_ITS_OWN = (
    "EngineError this answer belongs to the process that asked for it, not to its forked child"
)


def assert_prints(lines: list[str], program: str, model: Path) -> None:
    done = run_python(program, model)
    assert (done.stdout.splitlines(), done.returncode, done.stderr) == (lines, 0, "")


@pytest.mark.parametrize(
    ("work", "said"),
    [
        ('llm.generate("hello")', REFUSED),
        ('llm.generate("hello", streaming=True)', REFUSED),
        ('asyncio.run(llm.agenerate("hello"))', REFUSED),
        ("llm.stats()", REFUSED),
        ("''.join(stream)", NOT_ITS_OWN),
        ("stream.result", NOT_ITS_OWN),
    ],
)
def test_a_child_is_refused(work: str, said: str, tiny_path: TinyPath) -> None:
    program = f"{FORK}in_a_child(lambda: {work}){PARENT_GOES_ON}"
    assert_prints([said, "parent done 0"], program, tiny_path("llama"))


@pytest.mark.parametrize(
    "work",
    [
        "None",
        "llm.close()",
        "stream.close()",
        "[globals().pop(name) for name in ('stream', 'llm')]",
        "llm.tokenize('hello')",
    ],
)
def test_what_a_child_may_do(work: str, tiny_path: TinyPath) -> None:
    program = f"{FORK}in_a_child(lambda: {work}){PARENT_GOES_ON}"
    assert_prints(["parent done 0"], program, tiny_path("llama"))


def test_a_child_waits_for_no_vocabulary(tiny_path: TinyPath) -> None:
    """The thread that prepares it may be at work when the process forks."""
    program = f"""{FORK}
from llmlocal._generation._constraint import Constraint
llm.chat_session(choices=["a"])
in_a_child(lambda: llm._generator._guide.compile(Constraint.lark('start: "a"')))
assert llm.generate("hello", choices=["a"]) == "a"
{PARENT_GOES_ON}"""
    assert_prints([REFUSED, "parent done 0"], program, tiny_path("llama"))


def test_a_lock_that_nobody_will_release(tiny_path: TinyPath) -> None:
    """As if another thread had just begun to wait for its first answer."""
    program = f"{FORK}\nwith llm._generator.waker._lock:\n    in_a_child(llm.close){PARENT_GOES_ON}"
    assert_prints(["parent done 0"], program, tiny_path("llama"))


def test_after_asyncio_was_used(tiny_path: TinyPath) -> None:
    program = f"""{FORK}
asyncio.run(llm.agenerate("hello", max_tokens=2))
in_a_child(llm.close)
assert len(asyncio.run(llm.agenerate("hello", max_tokens=2)).tokens) == 2
{PARENT_GOES_ON}"""
    assert_prints(["parent done 0"], program, tiny_path("llama"))


def test_an_asynchronous_stream_stays_with_its_process(tiny_path: TinyPath) -> None:
    program = f"""{FORK}
loop = asyncio.new_event_loop()
pieces = llm.astream("one", max_tokens=None)
async def read():
    async for piece in pieces:
        pass
loop.run_until_complete(anext(pieces))
in_a_child(lambda: loop.run_until_complete(read()))
assert loop.run_until_complete(anext(pieces))
loop.run_until_complete(pieces.aclose())
{PARENT_GOES_ON}"""
    assert_prints([NOT_ITS_OWN, "parent done 0"], program, tiny_path("llama"))


def test_a_child_may_load_its_own(tiny_path: TinyPath) -> None:
    program = f"""{FORK}
def work():
    with tiny() as own:
        assert own.generate("hello", temp=0, max_tokens=5) == expected
        print("child done", flush=True)
in_a_child(work)
{PARENT_GOES_ON}"""
    assert_prints(["child done", "parent done 0"], program, tiny_path("llama"))


@pytest.mark.parametrize(("method", "works"), [("fork", False), ("spawn", True)])
def test_multiprocessing(method: str, *, works: bool, tiny_path: TinyPath) -> None:
    """With "spawn" a child that opens the model itself has all of it."""
    program = f"""
import multiprocessing, sys, warnings
warnings.simplefilter("ignore")
from llmlocal import LLM, EngineError

def work(llm, path):
    if llm is None:
        llm = LLM(path, n_threads=1, progress=False)
    llm.generate("hello", max_tokens=2)

if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    llm = LLM(sys.argv[1], n_threads=1, progress=False)
    child = context.Process(target=work, args=(None if {works} else llm, sys.argv[1]))
    child.start()
    child.join()
    print(child.exitcode, len(llm.generate("hello", max_tokens=2).tokens))
"""
    script = tiny_path("llama").with_name(f"{method}.py")
    script.write_text(program)
    done = run_python(
        "import runpy, sys; sys.argv[:2] = sys.argv[1:2];"
        "runpy.run_path(sys.argv[0], run_name='__main__')",
        script,
        tiny_path("llama"),
    )
    assert done.stdout.split() == (["0", "2"] if works else ["1", "2"])
    assert ("before the process forked" in done.stderr) != works
