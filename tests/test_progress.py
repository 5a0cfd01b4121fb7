"""Who sees a bar: a person at a terminal, or in a notebook; nobody whose output goes to a file."""

from __future__ import annotations

import io
import sys
from types import ModuleType

import pytest

from llmlocal._progress import Progress, reporter


def written(patch: pytest.MonkeyPatch) -> str:
    stream = io.StringIO()
    patch.setattr(sys, "stderr", stream)
    with reporter(None, "a model") as report:
        report(Progress("download", 0, 1000))
        report(Progress("download", 1000, 1000))
    return stream.getvalue()


def test_a_notebook_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    assert "download a model" in written(monkeypatch)


def test_a_file_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    assert written(monkeypatch) == ""
