from __future__ import annotations

from collections.abc import Iterator

import pytest

from llmlocal import LLM

from ..conftest import TinyPath
from .matching import Matcher


@pytest.fixture(scope="module")
def vocabulary_llm(tiny_path: TinyPath) -> Iterator[LLM]:
    """A model that serves all tests that change nothing about it."""
    with LLM(tiny_path("llama"), device="cpu", n_ctx=512, n_threads=1, progress=False) as llm:
        yield llm


@pytest.fixture(scope="module")
def matcher(vocabulary_llm: LLM) -> Matcher:
    return Matcher(vocabulary_llm)
