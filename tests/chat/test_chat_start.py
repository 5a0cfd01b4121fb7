"""How ``llmlocal chat`` begins, or says at once why it can't."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from llmlocal.cli import main

from ..conftest import TinyPath
from ..tiny_models import llama


@pytest.fixture
def untaught(tmp_path: Path) -> Path:
    """A model whose file has no chat template."""
    path = tmp_path / "untaught.gguf"
    return llama().changed(without=["tokenizer.chat_template"]).write(path)


def chat(model: Path, *arguments: str) -> int:
    options = [
        "--device",
        "cpu",
        "--n-ctx",
        "256",
        "--threads",
        "1",
        "--quiet",
        "--max-tokens",
        "2",
    ]
    return main(["chat", str(model), *options, *arguments])


@pytest.fixture(autouse=True)
def _one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("hi\n"))


def test_a_model_without_a_template_is_named(
    untaught: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())  # before anything is said
    assert chat(untaught) == 1
    assert (
        "untaught.gguf has no chat template: it was not made to chat. Give one with --template"
        in capsys.readouterr().err
    )


def test_a_model_without_a_template_can_be_given_one(
    untaught: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "plain.jinja"
    file.write_text("{% for m in messages %}{{ m.content }}\n{% endfor %}")
    assert chat(untaught, "--template", str(file)) == 0
    assert capsys.readouterr().out.strip()


def test_a_template_that_is_not_there_is_named(
    tiny_path: TinyPath, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert chat(tiny_path("llama"), "--template", "rag") == 1
    assert "no chat template 'rag'; it has: none" in capsys.readouterr().err
