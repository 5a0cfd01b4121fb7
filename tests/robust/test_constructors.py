"""Objects of the extension are made by any number of threads at once."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

import pytest

from ..api.child import OPEN, run_python
from ..conftest import TinyPath

BINDINGS = Path(__file__).parents[2] / "src" / "cpp" / "bindings"
CONSTRUCTOR = ".def(py::init"


def definition(rest: str) -> str:
    """What is passed to def(), up to its closing bracket."""
    depth = list(accumulate((letter == "(") - (letter == ")") for letter in rest))
    return rest[: depth.index(-1)]


@pytest.mark.parametrize("source", sorted(BINDINGS.glob("*.cpp")), ids=lambda path: path.name)
def test_no_constructor_gives_up_the_lock_as_a_whole(source: Path) -> None:
    """pybind11 would note down the new object without it: gil.h says what is done instead."""
    for rest in source.read_text("utf-8").split(CONSTRUCTOR)[1:]:
        assert "ReleaseGil" not in definition(rest)


def test_threads_may_make_constraints_at_once(tiny_path: TinyPath) -> None:
    """What is refused, too: such an object is made, and let go again."""
    program = f"""{OPEN}
llm = tiny()
good = {{"enum": ["a"]}}
bad = {{"type": "string", "pattern": "(?=a)b"}}
end = threading.Event()
threading.Timer(3, end.set).start()
def work():
    while not end.is_set():
        for schema in (good, bad):
            try:
                llm.generate("x", schema=schema, unsupported="validate", max_tokens=1)
            except LLMLocalError:
                pass
threads = [threading.Thread(target=work) for _ in range(8)]
for each in threads:
    each.start()
for each in threads:
    each.join()
"""
    done = run_python(program, tiny_path("llama"))
    assert (done.returncode, done.stderr) == (0, "")
