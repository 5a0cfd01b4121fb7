"""Any vocabulary, with any of its switches, takes any text; or it is refused by what it lacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from llmlocal import LLMLocalError, ModelLoadError, _core

from ..api.child import run_python
from ..native.vocab_files import load_vocab
from ..tiny_models import TinyModel, llama
from ..tiny_vocab import Kind, Vocab, bpe_vocab
from ..vocab_kinds import KINDS, rwkv_vocab

Write = Callable[[Vocab], Path]

IDS = (None, 0, 2, 10**6)
FLAGS = (None, False, True)

USE = """
import sys
from pathlib import Path
from llmlocal import LLMLocalError, _core
from llmlocal._devices import _runtime
_runtime.start()
def load(path):
    return _core.Model.load(path, devices=[], gpu_layers=0, split_mode="layer", tensor_split=[],
        placements=[], use_mmap=True, check_tensors=False, vocab_only=True, on_progress=None)
texts = ["", "a", " ", "\\0", "\\n", "7", "e\\u0301", "\\U0001F44B", "\\uFFFD", "the quick", *sys.argv[2:]]
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        tokenizer = _core.Tokenizer(load(str(path)))
    except LLMLocalError:
        continue
    for text in texts:
        for trusted in (False, True):
            for add_special in (False, True):
                try:
                    tokens = tokenizer.encode([(text, trusted)], add_special=add_special)
                except LLMLocalError:
                    continue
                assert all(0 <= token < tokenizer.vocab_size for token in tokens), (path, text)
                tokenizer.decode(tokens, special=True)
    for token in (tokenizer.bos, tokenizer.eos):
        assert -1 <= token < tokenizer.vocab_size
        tokenizer.token_text(token)
print("done")
"""
"""Every text in every vocabulary of a folder: an answer or an error of our own."""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_vocab(vocab: Vocab) -> Path:
        path = tmp_path / f"{len(list(tmp_path.iterdir())):04}.gguf"
        return TinyModel("llama", vocab, llama().settings, {}).write(path)

    return write_vocab


def use_all(folder: Path, *texts: str) -> None:
    done = run_python(USE, folder, *texts)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr[-2000:]


def switched(vocab: Vocab) -> list[Vocab]:
    """The vocabulary with its end tokens there, absent and out of range, and added or not."""
    made = []
    for bos, eos, add_bos, add_eos in product(IDS, IDS, FLAGS, FLAGS):
        ends = {"bos": bos, "eos": eos}
        special = {name: id_ for name, id_ in vocab.special.items() if name not in ends}
        special |= {name: id_ for name, id_ in ends.items() if id_ is not None}
        adds = {"add_bos_token": add_bos, "add_eos_token": add_eos}
        flags = {name: flag for name, flag in adds.items() if flag is not None}
        made.append(replace(vocab, special=special, flags=flags))
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_every_switch_takes_every_text(kind: str, write: Write, tmp_path: Path) -> None:
    for vocab in switched(KINDS[kind]):
        write(vocab)
    control = "".join(
        text for text, what in KINDS[kind].tokens if what in {Kind.CONTROL, Kind.UNKNOWN}
    )
    use_all(tmp_path, control, control * 2, f" {control} ")


@pytest.mark.parametrize("kind", KINDS)
def test_a_vocabulary_of_one_token(kind: str, write: Write, tmp_path: Path) -> None:
    for text, what in [("a", Kind.NORMAL), ("<s>", Kind.CONTROL), ("", Kind.NORMAL)]:
        write(replace(KINDS[kind], tokens=((text, what),)))
    use_all(tmp_path)


def test_a_vocabulary_that_adds_an_end_and_no_beginning(write: Write) -> None:
    vocab = replace(bpe_vocab(), flags={"add_bos_token": False, "add_eos_token": True})
    tokenizer = _core.Tokenizer(load_vocab(write(vocab)))
    assert tokenizer.encode([("", False)], add_special=True) == [tokenizer.eos]
    assert tokenizer.encode([("the", False)], add_special=True)[-1] == tokenizer.eos


@pytest.mark.timeout(60)
def test_a_byte_vocabulary_that_lacks_bytes_is_refused(write: Write) -> None:
    """llama.cpp would look for "h" in "hello" for ever, and take memory all the while."""
    with pytest.raises(ModelLoadError, match="0x68"):
        _core.Tokenizer(load_vocab(write(rwkv_vocab(without=b"h"))))


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_of_many_bytes(kind: str, write: Write) -> None:
    """llama.cpp takes the tokens of some vocabularies apart, one call or copy for each byte."""
    path = write(replace(KINDS[kind], tokens=(*KINDS[kind].tokens, ("a" * 300_000, Kind.NORMAL))))
    if kind in {"ugm", "rwkv", "plamo2"}:
        with pytest.raises(ModelLoadError, match="token of 300000 bytes"):
            load_vocab(path)
    else:
        load_vocab(path)


def test_a_text_that_the_vocabulary_has_no_token_for(write: Write) -> None:
    vocab = replace(KINDS["ugm"], special={"eos": 1, "unknown": 10**6})
    tokenizer = _core.Tokenizer(load_vocab(write(vocab)))
    try:
        tokens = tokenizer.encode([("\u4e16", False)], add_special=False)
    except LLMLocalError:
        return
    assert all(0 <= token < tokenizer.vocab_size for token in tokens)
