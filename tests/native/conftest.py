"""The reference answers, shared by all tests of the engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..conftest import TinyPath
from .reference import Reference


@pytest.fixture(scope="session")
def reference(tiny_path: TinyPath) -> Iterator[Reference]:
    """Knows a tiny model's greedy answer to a prompt, evaluated alone and from the beginning."""
    answers = Reference(tiny_path)
    yield answers
    answers.close()
