"""Ctrl-C ends every wait, whatever the thread is in the middle of; and no wait grows with the square."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from llmlocal import _core

from ..api.child import OPEN, run_python
from ..conftest import TinyPath
from ..native.vocab_files import load_vocab
from ..tiny_models import TinyModel, llama
from ..tiny_vocab import bpe_vocab, spm_vocab

INTERRUPTED = (
    OPEN
    + """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
{before}
timer = threading.Timer(0.3, interrupt)
started = time.monotonic()
timer.start()
try:
    {call}
    print("was too quick to be interrupted")
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - started < 5)
"""
)

CALLS = {
    "count_tokens": (
        "llm = tiny(n_ctx=64); text = 'the quick brown fox ' * 3_000_000",
        "llm.count_tokens(text)",
    ),
    "generate": (
        "llm = tiny(n_ctx=64); text = 'fox ' * 15_000_000",
        "llm.generate(text)",
    ),
    "chat": (
        "llm = tiny(n_ctx=64); text = 'fox ' * 15_000_000",
        "llm.chat(text)",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_long_text_can_be_interrupted(name: str, tiny_path: TinyPath) -> None:
    before, call = CALLS[name]
    done = run_python(INTERRUPTED.format(before=before, call=call), tiny_path("llama"))
    assert done.stdout == "interrupted True\n", (done.stdout, done.stderr[-1000:])


@pytest.fixture
def super_bpe(tmp_path: Path) -> _core.Tokenizer:
    vocab = replace(bpe_vocab(), pre="superbpe")
    path = TinyModel("llama", vocab, llama().settings, {}).write(tmp_path / "vocab.gguf")
    return _core.Tokenizer(load_vocab(path))


@pytest.mark.parametrize("before", ["", "a", "x7", "12,"])
@pytest.mark.parametrize("after", ["", " b", "\u0667", ".5"])
def test_digits_in_parts_are_what_they_are_at_once(
    before: str, after: str, super_bpe: _core.Tokenizer
) -> None:
    for count in (1, 2, 3, 119, 120, 121, 122, 239, 240, 241, 363):
        text = before + "".join(str(i % 10) for i in range(count)) + after
        whole = super_bpe.encode_as_llama_cpp(text, add_special=True, parse_special=False)
        assert super_bpe.encode([(text, False)], add_special=True) == whole


def test_runs_of_digits_take_a_time_that_grows_like_their_length(
    super_bpe: _core.Tokenizer,
) -> None:
    """12,000 took 11 s."""
    started = time.monotonic()
    assert len(super_bpe.encode([("7" * 24_000, False)], add_special=False)) > 0
    assert time.monotonic() - started < 5


@pytest.fixture
def spm(tmp_path: Path) -> _core.Tokenizer:
    path = TinyModel("llama", spm_vocab(), llama().settings, {}).write(tmp_path / "vocab.gguf")
    return _core.Tokenizer(load_vocab(path))


RUNS = ["\n", "\u00df", "\u4e17", "\U0001f44b", "\n\u00df"]
"""Of characters that the vocabulary knows by their bytes only."""


@pytest.mark.parametrize("before", ["", "a", " fox ", "the quick\n"])
@pytest.mark.parametrize("run", RUNS)
def test_unknown_characters_in_parts_are_what_they_are_at_once(
    before: str, run: str, spm: _core.Tokenizer
) -> None:
    for count in (1, 1999, 2000, 2001, 4100):
        text = before + run * count + " the quick" + run * count + "fox"
        whole = spm.encode_as_llama_cpp(text, add_special=True, parse_special=False)
        assert spm.encode([(text, False)], add_special=True) == whole


def test_runs_of_unknown_characters_take_a_time_that_grows_like_their_length(
    spm: _core.Tokenizer,
) -> None:
    """200,000 took 9 s, 400,000 four times as long."""
    started = time.monotonic()
    assert len(spm.encode([("\n" * 400_000, False)], add_special=False)) >= 400_000
    assert time.monotonic() - started < 5
