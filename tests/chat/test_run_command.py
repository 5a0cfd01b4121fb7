"""``llmlocal run``: one answer, through the model's chat template or not."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from llmlocal.cli import main

from ..conftest import OpenTiny, TinyPath
from ..tiny_models import llama

Output = pytest.CaptureFixture[str]
N_TOKENS = 6


def run(model: Path, *arguments: str) -> int:
    options = ["--device", "cpu", "--n-ctx", "512", "--threads", "1", "--quiet", "--temp", "0"]
    return main(["run", str(model), *arguments, *options, "--max-tokens", str(N_TOKENS)])


def test_a_prompt_goes_through_the_template(
    tiny_path: TinyPath, open_tiny: OpenTiny, capsys: Output
) -> None:
    llm = open_tiny()
    assert run(tiny_path("llama"), "hello") == 0
    answer = llm.chat("hello", temp=0, max_tokens=N_TOKENS)
    assert capsys.readouterr().out == f"{answer}\n"
    assert answer != llm.generate("hello", temp=0, max_tokens=N_TOKENS)


def test_a_raw_prompt_does_not(tiny_path: TinyPath, open_tiny: OpenTiny, capsys: Output) -> None:
    text = open_tiny().generate("hello", temp=0, max_tokens=N_TOKENS)
    assert run(tiny_path("llama"), "hello", "--raw") == 0
    assert capsys.readouterr().out == f"{text}\n"


def test_a_system_message_is_part_of_it(
    tiny_path: TinyPath, open_tiny: OpenTiny, capsys: Output
) -> None:
    answer = open_tiny().chat("hello", system="Be terse.", temp=0, max_tokens=N_TOKENS)
    assert run(tiny_path("llama"), "hello", "--system", "Be terse.") == 0
    assert capsys.readouterr().out == f"{answer}\n"


def test_a_model_without_a_template_continues_the_prompt(
    tmp_path: Path, open_tiny: OpenTiny, capsys: Output
) -> None:
    path = llama().changed(without=["tokenizer.chat_template"]).write(tmp_path / "untaught.gguf")
    text = open_tiny(path).generate("hello", temp=0, max_tokens=N_TOKENS)
    assert run(path, "hello") == 0
    assert capsys.readouterr().out == f"{text}\n"
    assert run(path, "hello", "--system", "S") == 1
    assert "--system needs a chat template" in capsys.readouterr().err


def test_the_prompt_may_come_through_a_pipe(
    tiny_path: TinyPath, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tiny_path("llama"), "hello") == 0
    given = capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO("hello"))
    assert run(tiny_path("llama")) == 0
    assert capsys.readouterr().out == given
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert run(tiny_path("llama")) == 1
    assert "the prompt from standard input is empty" in capsys.readouterr().err


def test_figures_are_no_part_of_the_answer(tiny_path: TinyPath, capsys: Output) -> None:
    assert run(tiny_path("llama"), "hello", "--stats") == 0
    out, err = capsys.readouterr()
    assert f"{N_TOKENS} tokens" in err
    assert "tokens" not in out
