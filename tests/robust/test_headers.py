"""Every text of a model's header may be of any length and of any bytes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import gguf
import pytest

from llmlocal import LLM, ModelLoadError, models

from ..api.child import OPEN, run_python
from ..conftest import OpenTiny
from ..tiny_models import llama
from ..tiny_vocab import bpe_vocab

LENGTHS = [0, 1, 20_000, 300_000, 10_000_000]
KEYS = ["general.name", "general.description", "tokenizer.chat_template", "x.y"]
BROKEN = b"caf\xe9 \xff\xfe \xed\xa0\x80 \xf0\x9f"

LOAD = (
    OPEN
    + """
import llmlocal
for path in sys.argv[2:]:
    try:
        with LLM(path, device="cpu", n_threads=1, n_ctx=64, progress=False) as llm:
            llm.generate("hello", max_tokens=2)
            str(llm.metadata), llm.bos_token, llm.eos_token, llm.chat_template(), repr(llm)
            llm.memory()
        llmlocal.models.inspect(path)
    except LLMLocalError as error:
        str(error)
print("done")
"""
)


def load_all(*paths: Path) -> None:
    done = run_python(LOAD, "", *paths)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr[-2000:]


def write(path: Path, key: str, value: str) -> Path:
    return llama(layers=1).changed(settings={key: value}).write(path)


@pytest.mark.parametrize("key", KEYS)
def test_a_text_of_any_length(key: str, tmp_path: Path) -> None:
    load_all(*(write(tmp_path / f"{n}.gguf", key, "a" * n) for n in LENGTHS))


def test_a_key_of_any_length(tmp_path: Path) -> None:
    load_all(*(write(tmp_path / f"{n}.gguf", "k" * n, "v") for n in (1, 63, 64, 20_000, 70_000)))


def test_texts_that_look_like_the_log(tmp_path: Path) -> None:
    """The sizes of buffers are read off llama.cpp's log, which repeats such texts."""
    for i, text in enumerate(["CPU model buffer size = 1.2.3 MiB; " * 5000, "buffer size =" * 99]):
        load_all(write(tmp_path / f"{i}.gguf", "general.name", text))


def break_text(path: Path, old: bytes, new: bytes) -> Path:
    data = path.read_bytes()
    assert data.count(old) > 0
    assert len(old) == len(new)
    path.write_bytes(data.replace(old, new))
    return path


@pytest.mark.parametrize(
    "key", ["general.name", "general.architecture", "tokenizer.chat_template", "x.y"]
)
def test_a_text_that_is_not_utf8(key: str, tmp_path: Path) -> None:
    marker = "Z" * len(BROKEN)
    path = tmp_path / "model.gguf"
    model = llama(layers=1)
    if key == "general.architecture":
        writer = gguf.GGUFWriter(path, marker)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
    else:
        model.changed(settings={key: marker}).write(path)
    load_all(break_text(path, marker.encode(), BROKEN))


def test_a_key_and_tokens_that_are_not_utf8(tmp_path: Path) -> None:
    marker = "Z" * len(BROKEN)
    path = llama(layers=1).changed(settings={marker: "x"}).write(tmp_path / "key.gguf")
    load_all(break_text(path, marker.encode(), BROKEN))
    for number, token in enumerate([b"<|endoftext|>", b"<|im_end|>"]):
        path = llama(layers=1).write(tmp_path / f"{number}.gguf")
        load_all(break_text(path, token, b"\xff" * len(token)))


def test_what_is_broken_is_shown_in_the_error(open_tiny: OpenTiny, tmp_path: Path) -> None:
    marker = "Z" * len(BROKEN)
    path = tmp_path / "model.gguf"
    llama(layers=1, vocab=bpe_vocab(pre=marker)).write(path)
    with pytest.raises(ModelLoadError, match="caf\ufffd"):
        open_tiny(break_text(path, marker.encode(), BROKEN))


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_a_file_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.gguf"))
    llama(layers=1).write(path)
    with LLM(path, device="cpu", n_threads=1, n_ctx=64, progress=False) as llm:
        assert llm.generate("hello", max_tokens=1).usage.completion_tokens == 1
        assert os.fsencode(models.inspect(path).source) == os.fsencode(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ModelLoadError, match="caf"):
        LLM(path, device="cpu", progress=False)


@pytest.mark.parametrize("value", [-1.0, -1e-30, float("nan"), float("inf"), float("-inf"), 2.0])
def test_a_norm_that_would_end_the_process_is_refused(value: float, tmp_path: Path) -> None:
    """ggml holds it against what it asserts, on a thread of its own."""
    name = ".attention.layer_norm_rms_epsilon"
    path = llama(layers=1).changed(settings={name: value}).write(tmp_path / "model.gguf")
    with pytest.raises(ModelLoadError, match="the setting llama"):
        LLM(path, device="cpu", n_threads=1, progress=False)
