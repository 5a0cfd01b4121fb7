"""What the tests of the engine share: reference answers, and a model that is only a vocabulary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from llmlocal import _core

from ..conftest import TinyPath
from ..tiny_models import TinyModel, llama
from ..tiny_vocab import Kind, spm_vocab
from .reference import Reference
from .vocab_files import load_vocab

VOCAB_SIZE = 3000


@pytest.fixture(scope="session")
def reference(tiny_path: TinyPath) -> Iterator[Reference]:
    """Knows a tiny model's greedy answer to a prompt, evaluated alone and from the beginning."""
    answers = Reference(tiny_path)
    yield answers
    answers.close()


@pytest.fixture(scope="session")
def vocab_model(tmp_path_factory: pytest.TempPathFactory) -> _core.Model:
    """A model of nothing but 3,000 tokens, as many as take llama.cpp's ways for large ones."""
    small = spm_vocab()
    more = ((f"token{i}", Kind.NORMAL) for i in range(VOCAB_SIZE - len(small.tokens)))
    vocab = replace(small, tokens=(*small.tokens, *more))
    path = tmp_path_factory.mktemp("vocab") / "vocab.gguf"
    return load_vocab(TinyModel("llama", vocab, llama().settings, {}).write(path))
