"""Another binding of llama.cpp in the same process: each keeps to its own, whichever comes first.

For llama.cpp has global functions and global state, and releases of it differ in both.  Runs where
such a package is installed beside this one.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from .conftest import TinyPath

ASKING = {
    "llmlocal": """
        from llmlocal import LLM
        llm = LLM(model, device="cpu", n_ctx=256, n_threads=1, progress=False)
        ask = lambda: str(llm.generate("hello", max_tokens=12, temp=0))
    """,
    "llama_cpp": """
        from llama_cpp import Llama
        llama = Llama(model, n_ctx=256, n_threads=1, seed=1, verbose=False)
        sampling = {"temperature": 0, "repeat_penalty": 1}
        ask = lambda: llama("hello", max_tokens=12, **sampling)["choices"][0]["text"]
    """,
    "xllamacpp": """
        import xllamacpp
        params = xllamacpp.CommonParams()
        params.model.path, params.n_ctx, params.n_gpu_layers = model, 256, 0
        params.cpuparams.n_threads = 1
        server = xllamacpp.Server(params)
        question = {"prompt": "hello", "max_tokens": 12, "temperature": 0, "cache_prompt": False}
        ask = lambda: server.handle_completions(question)["choices"][0]["text"]
    """,
}
OTHERS = [name for name in ASKING if name != "llmlocal"]


def answers(model: Path, packages: list[str]) -> dict[str, str]:
    """What each answers in a process that opens them all in this order, then asks in both orders."""
    lines = ["import json, sys", "model = sys.argv[1]", "asking, answers = {}, {}"]
    for name in packages:
        lines += [textwrap.dedent(ASKING[name]), f"asking[{name!r}] = ask"]
    lines += [
        "for name in [*asking, *reversed(asking)]:",
        "    text = asking[name]()",
        "    assert answers.setdefault(name, text) == text, (name, text, answers[name])",
        "print(json.dumps(answers), file=sys.__stdout__, flush=True)",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines), str(model)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    # Which includes that the process could end.
    assert done.returncode == 0, done.stderr[-2000:]
    told: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("ours_first", [True, False])
def test_each_answers_as_it_does_alone(other: str, ours_first: bool, tiny_path: TinyPath) -> None:
    if importlib.util.find_spec(other) is None:
        pytest.skip(f"needs the package of {other} installed beside llmlocal")
    model = tiny_path("llama")
    packages = ["llmlocal", other] if ours_first else [other, "llmlocal"]
    alone = {name: answers(model, [name])[name] for name in packages}
    assert answers(model, packages) == alone


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere symbols can't be mixed up")
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize("symbol", ["ggml_init", "ggml_backend_load", "llama_backend_init"])
@pytest.mark.parametrize("is_first", [True, False])
def test_one_that_would_stand_in_for_ours_is_an_error(
    symbol: str, is_first: bool, tmp_path: Path
) -> None:
    """Its functions would be called with our structures, which ends in a crash."""
    stranger = tmp_path / "libstranger.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(stranger)],
        input=f"void* {symbol}(void) {{ return 0; }}",
        text=True,
        check=True,
    )
    program = [
        "import ctypes, sys",
        "load = lambda: ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL)",
        "load() if sys.argv[2] == 'True' else None",
        "from llmlocal import DeviceError, _core, devices",
        "load()",
        "try: print('no error', devices())",
        "except DeviceError as exc: print(exc)",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(program), str(stranger), str(is_first)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"{symbol} is global in {stranger}" in done.stdout
