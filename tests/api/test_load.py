"""Loading: what its arguments may be, and what it has to say."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmlocal import LLM, ParameterError

from ..conftest import OpenTiny, TinyPath
from .child import run_python


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_ctx": 0}, "n_ctx must be a whole number, 1 to 2147483647; got 0"),
        ({"n_ctx": 1.5}, "n_ctx must be a whole number, 1 to 2147483647; got 1.5"),
        ({"n_parallel": 257}, "n_parallel must be a whole number, 1 to 256; got 257"),
        ({"n_threads": True}, "n_threads must be a whole number, 1 to 512; got True"),
        ({"kv_type": None}, "kv_type must be a str, got None"),
        ({"flash_attention": "yes"}, "flash_attention must be a bool, got 'yes'"),
        ({"use_mmap": "no"}, "use_mmap must be a bool, got 'no'"),
        ({"tensor_split": "3,1"}, "tensor_split must be a list, got '3,1'"),
        ({"tensor_split": [0, 0]}, r"tensor_split must be shares >= 0, not all 0; got \[0, 0\]"),
        ({"progress": 5}, "progress must be a function, False or None; got 5"),
    ],
)
def test_an_argument_that_makes_no_sense(
    options: dict[str, Any], message: str, tiny_path: TinyPath
) -> None:
    with pytest.raises(ParameterError, match=message):
        LLM(tiny_path("llama"), **{"progress": False, **options})


def test_a_model_that_is_no_name() -> None:
    model: Any = b"x"
    with pytest.raises(ParameterError, match="model must be a name or a path, got b'x'"):
        LLM(model)


def trained_for(llm: LLM) -> int:
    return int(llm.metadata["llama.context_length"])


def test_a_context_beyond_the_training_is_warned_of(
    tiny_path: TinyPath, open_tiny: OpenTiny, caplog: pytest.LogCaptureFixture
) -> None:
    most = trained_for(open_tiny())
    LLM(tiny_path("llama"), n_ctx=most, n_parallel=1, progress=False).close()
    assert caplog.messages == []
    LLM(tiny_path("llama"), n_ctx=most + 1, n_parallel=1, progress=False).close()
    (warning,) = caplog.messages
    name = Path(tiny_path("llama")).name
    assert warning.startswith(f"n_ctx={most + 1} is more than the {most} tokens that {name} was")


def test_an_application_that_logs_is_not_told_of_llama_cpp(
    tiny_path: TinyPath, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        LLM(tiny_path("llama"), progress=False).close()
    assert caplog.messages == []
    with caplog.at_level(logging.INFO), caplog.at_level(logging.INFO, "llmlocal.native"):
        LLM(tiny_path("llama"), progress=False).close()
    assert len(caplog.messages) > 50


@pytest.mark.parametrize(
    ("before", "after"),
    [("", "WARNING"), (".setLevel('ERROR')", "ERROR"), (".setLevel('DEBUG')", "DEBUG")],
)
def test_a_level_that_the_program_set_stays(before: str, after: str) -> None:
    program = f"""
import logging
logger = logging.getLogger("llmlocal.native")
logger{before}
import llmlocal._log
print(logging.getLevelName(logger.level))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{after}\n"


def test_warnings_reach_a_program_that_has_set_up_no_logging(tiny_path: TinyPath) -> None:
    """And nothing else does: llama.cpp warns of much that is as it should be."""
    program = """
import sys
from llmlocal import LLM
for n_ctx in (100, 9000):
    LLM(sys.argv[1], device="cpu", n_ctx=n_ctx, progress=False).close()
"""
    done = run_python(program, tiny_path("llama"))
    assert done.returncode == 0
    assert re.fullmatch(
        r"n_ctx=9000 is more than the 8192 tokens that .* trained for: .*\n", done.stderr
    )
