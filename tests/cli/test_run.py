"""``llmlocal run`` as a shell sees it: what it writes where, and how it ends."""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from llmlocal import LLM
from llmlocal.cli import main
from llmlocal.cli._errors import in_flags
from llmlocal.cli._model_options import add_sampling_options, sampling_options

from ..conftest import OpenTiny, TinyPath
from ..tiny_models import MODELS

LOADING = ["--device", "cpu", "--n-ctx", "512", "--threads", "1", "--offline"]
SHORT = ["--max-tokens", "8", "--temp", "0"]
PATIENCE_S = 60

# A shell that runs the tests in the background has Ctrl-C ignored.
PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from llmlocal.cli import main
sys.exit(main(sys.argv[1:]))
"""

Done = subprocess.CompletedProcess[str]


def command(model: Path, *more: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM, "run", str(model), *LOADING, *more]


def run(model: Path, *more: str, text: str | bytes = "", **environment: str) -> Done:
    done = subprocess.run(
        command(model, *more),
        input=text if isinstance(text, bytes) else text.encode(),
        capture_output=True,
        timeout=PATIENCE_S,
        env={**os.environ, **environment},
        check=False,
    )
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


@pytest.fixture
def llm(open_tiny: OpenTiny) -> LLM:
    return open_tiny()


def assert_refused(done: Done, message: str, code: int = 1) -> None:
    """One line that says why, and nothing else."""
    assert done.returncode == code
    assert done.stdout == ""
    assert re.fullmatch(rf"llmlocal: error: [^\n]*{message}[^\n]*\n", done.stderr)


# --- Answers -------------------------------------------------------------------------------------


def test_it_answers_through_the_chat_template(tiny_path: TinyPath, llm: LLM) -> None:
    answer = llm.chat("hello", system="terse", max_tokens=8, temp=0)
    done = run(tiny_path("llama"), "hello", "--system", "terse", *SHORT)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{answer}\n", "")


def test_raw_continues_the_prompt(tiny_path: TinyPath, llm: LLM) -> None:
    text = llm.generate("hello", max_tokens=8, temp=0)
    assert text != llm.chat("hello", max_tokens=8, temp=0)
    done = run(tiny_path("llama"), "hello", "--raw", *SHORT)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{text}\n", "")


def test_so_does_a_model_without_a_template(tmp_path: Path, llm: LLM) -> None:
    plain = MODELS["llama"]().changed(without=["tokenizer.chat_template"])
    done = run(plain.write(tmp_path / "plain.gguf"), "hello", *SHORT)
    text = llm.generate("hello", max_tokens=8, temp=0)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{text}\n", "")


def test_the_prompt_may_come_through_a_pipe(tiny_path: TinyPath, llm: LLM) -> None:
    text = llm.generate("one\ntwo\n", max_tokens=8, temp=0)
    done = run(tiny_path("llama"), "--raw", *SHORT, text="one\ntwo\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{text}\n", "")


@pytest.mark.parametrize("words", [["what is it?"], ["--", "what is it?"]])
def test_the_pipe_comes_first_and_then_the_prompt(
    words: list[str], tiny_path: TinyPath, llm: LLM
) -> None:
    text = llm.generate("a text\n\nwhat is it?", max_tokens=8, temp=0)
    done = run(tiny_path("llama"), "--raw", *SHORT, *words, text="a text\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{text}\n", "")


def test_a_dash_is_the_pipe(tiny_path: TinyPath, llm: LLM) -> None:
    text = llm.generate("a text\n", max_tokens=8, temp=0)
    done = run(tiny_path("llama"), "-", "--raw", *SHORT, text="a text\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{text}\n", "")


@pytest.mark.parametrize("prompt", ["--help", "-", "-5 degrees"])
def test_what_follows_two_dashes_is_the_prompt(prompt: str, tiny_path: TinyPath, llm: LLM) -> None:
    text = llm.generate(prompt, max_tokens=8, temp=0)
    sent = prompt if prompt == "-" else ""
    done = run(tiny_path("llama"), "--raw", *SHORT, "--", prompt, text=sent)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{text}\n", "")


def test_a_standard_input_that_says_nothing_is_not_waited_for(
    tiny_path: TinyPath, llm: LLM
) -> None:
    text = llm.generate("hello", max_tokens=8, temp=0)
    call = command(tiny_path("llama"), "hello", "--raw", *SHORT)
    for shell in ('exec "$@" <&-', 'exec "$@" </dev/null'):
        done = subprocess.run(
            ["sh", "-c", shell, "sh", *call],
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (0, f"{text}\n")


def test_python_m_is_the_same_command(tiny_path: TinyPath, llm: LLM) -> None:
    answer = llm.chat("hello", max_tokens=8, temp=0)
    call = [sys.executable, "-m", "llmlocal", "run", str(tiny_path("llama")), *LOADING, "hello"]
    done = subprocess.run([*call, *SHORT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{answer}\n", "")


def test_options_reach_the_sampler(tiny_path: TinyPath, llm: LLM) -> None:
    plain = llm.generate("hello", max_tokens=20, temp=1.5, seed=7)
    text = llm.generate("hello", max_tokens=20, temp=1.5, seed=7, stop=plain[6:9])
    assert text == plain[:6]
    call = ["--raw", "--max-tokens", "20", "--temp", "1.5", "--seed", "7", "--stop", plain[6:9]]
    done = run(tiny_path("llama"), "hello", *call)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{text}\n", "")


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ([], {}),
        (["--max-tokens", "5"], {"max_tokens": 5}),
        (["--temp", "0"], {"temp": 0.0}),
        (["--top-k", "3"], {"top_k": 3}),
        (["--top-p", ".5"], {"top_p": 0.5}),
        (["--min-p", "0"], {"min_p": 0.0}),
        (["--repeat-penalty", "1.1"], {"repeat_penalty": 1.1}),
        (["--repeat-last-n", "9"], {"repeat_last_n": 9}),
        (["--seed", "0"], {"seed": 0}),
        (["--timeout", "2.5"], {"timeout": 2.5}),
        (["--stop", "a", "--stop", "b"], {"stop": ["a", "b"]}),
    ],
)
def test_an_option_is_what_its_name_says(words: Sequence[str], options: object) -> None:
    parser = argparse.ArgumentParser()
    add_sampling_options(parser)
    assert sampling_options(parser.parse_args(words)) == options


def test_stats_are_no_part_of_the_answer(tiny_path: TinyPath, llm: LLM) -> None:
    answer = llm.chat("hello", max_tokens=8, temp=0)
    done = run(tiny_path("llama"), "hello", "--stats", "--seed", "5", *SHORT)
    assert (done.returncode, done.stdout) == (0, f"{answer}\n")
    n_prompt = answer.usage.prompt_tokens
    assert re.fullmatch(
        rf"8 tokens, [1-9]\d*\.\d tokens/s, ended by length; prompt: {n_prompt} tokens, 0 cached; "
        r"first token after \d+\.\d{3} s; seed 5\n",
        done.stderr,
    )


def test_what_the_output_can_not_write_is_a_question_mark(tiny_path: TinyPath, llm: LLM) -> None:
    options = ["--raw", "--temp", "9", "--top-k", "0", "--min-p", "0", "--top-p", "1"]
    wild = llm.generate("hello", temp=9, top_k=0, min_p=0, top_p=1, seed=1, max_tokens=300)
    assert not wild.isascii()
    done = run(
        tiny_path("llama"),
        *["hello", *options, "--seed", "1", "--max-tokens", "300"],
        PYTHONIOENCODING="ascii",
    )
    written = wild.encode("ascii", errors="replace").decode()
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{written}\n", "")


# --- Refusals ------------------------------------------------------------------------------------


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    assert_refused(run(tmp_path / "no.gguf", "hello"), r"no\.gguf does not exist")
    assert_refused(run(Path("no-such-model"), "hello"), "no-such-model")


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    file = tmp_path / "text.gguf"
    file.write_text("nothing of the kind")
    assert_refused(run(file, "hello"), "text.gguf")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["hello", "--temp", "-1"], "--temp must be a finite number >= 0, got -1"),
        (["hello", "--top-p", "2"], "--top-p must be"),
        (["hello", "--kv-type", "f7"], "--kv-type .*f7"),
        (["hello", "--n-ctx", "0"], "--n-ctx must be a whole number, 1 to"),
        (["hello", "--threads", "0"], "--threads must be a whole number, 1 to 512; got 0"),
        (["hello", "--seed", "-5"], r"--seed must be 0 to 2\*\*64 - 1, got -5"),
        (["hello", "--raw", "--system", "x"], "--system needs a chat template"),
        (["", "--raw"], "prompt must not be empty"),
        (["h\udcff", "--raw"], "a lone surrogate"),
        ([], "the prompt from standard input is empty"),
    ],
)
def test_a_call_with_a_wrong_value(words: list[str], message: str, tiny_path: TinyPath) -> None:
    assert_refused(run(tiny_path("llama"), *words), message, 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["hello", "--device", "cuda:7"], "cuda:7"),
        (["one " * 600], r"prompt has [\d,]+ tokens"),
    ],
)
def test_what_can_not_be_done(words: list[str], message: str, tiny_path: TinyPath) -> None:
    assert_refused(run(tiny_path("llama"), *words), message)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("max_tokens must be >= 0, got -1", "--max-tokens must be >= 0, got -1"),
        ("there is no device 'gpu'", "there is no device 'gpu'"),
        ("device must be a name", "--device must be a name"),
        ("n_gpu_layers=9 takes 5 MB", "--gpu-layers 9 takes 5 MB"),
        ("choose another with model_path or X", "choose another with --model-path or X"),
        ("my_n_ctx, n_ctx_train, top_k", "my_n_ctx, n_ctx_train, --top-k"),
    ],
)
def test_errors_speak_the_language_of_the_command_line(message: str, told: str) -> None:
    assert in_flags(message) == told


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_a_pipe_with_something_else_than_text(errors: str, tiny_path: TinyPath) -> None:
    done = run(tiny_path("llama"), text=b"h\xff", PYTHONIOENCODING=f"utf-8:{errors}")
    assert_refused(done, "standard input is not (UTF-8 )?text", 2)


@pytest.mark.parametrize(
    "words", [["--temp", "hot"], ["--top-k", "1.5"], ["--no-such-option"], ["one", "two"]]
)
def test_a_wrong_call(words: list[str], tiny_path: TinyPath) -> None:
    done = run(tiny_path("llama"), *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: ")
    assert "Traceback" not in done.stderr


# --- The end -------------------------------------------------------------------------------------

ENDLESS = ["hello", "--raw", "--n-ctx", "100000", "--max-tokens", "99000"]


def start(model: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(model, *more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def without_warnings(err: str) -> str:
    """The context is larger than what the model was trained for."""
    return "".join(line for line in err.splitlines(True) if "warning: --n-ctx" not in line)


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_ctrl_c_ends_it_with_130(tiny_path: TinyPath) -> None:
    with start(tiny_path("llama"), *ENDLESS) as process:
        assert process.stdout is not None
        assert process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, without_warnings(err)) == (130, "\n")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no broken pipes")
def test_a_reader_who_leaves_ends_it(tiny_path: TinyPath) -> None:
    """As "| head" does."""
    with start(tiny_path("llama"), *ENDLESS) as process:
        assert process.stdout is not None
        assert process.stdout.read(1)
        process.stdout.close()
        assert process.stderr is not None
        assert without_warnings(process.stderr.read()) == ""
        assert process.wait(PATIENCE_S) == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no device that is always full")
def test_a_disk_that_is_full(tiny_path: TinyPath) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command(tiny_path("llama"), "hello", "--max-tokens", "3"),
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "No space left on device" in done.stderr


def test_what_the_answer_must_obey(tiny_path: TinyPath, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"enum": ["yes", 7]}')
    grammar = tmp_path / "grammar.gbnf"
    grammar.write_text('root ::= "a" [bc]')
    model = tiny_path("llama")
    assert run(model, "hello", "--schema", str(schema)).stdout in ('"yes"\n', "7\n")
    assert run(model, "hello", "--grammar", str(grammar)).stdout in ("ab\n", "ac\n")
    assert run(model, "hello", "--regex", "[0-9]{3}").stdout.strip().isdigit()
    done = run(model, "hello", "--choice", "yes", "--choice", "no")
    assert done.stdout in ("yes\n", "no\n")
    assert_refused(run(model, "hello", "--schema", str(tmp_path / "no")), "can't be read", code=2)
    schema.write_text('{"not": {}}')
    assert_refused(run(model, "hello", "--schema", str(schema)), r"\$\.not can't be enforced")
    assert run(model, "hello", "--regex", "a", "--choice", "b").returncode == 2


def test_a_context_beyond_the_training_is_warned_of(
    tiny_path: TinyPath, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tiny_path("llama"))
    assert (
        main(["run", path, "hello", "--n-ctx", "9000", "--max-tokens", "1", "--device", "cpu"]) == 0
    )
    warned = capsys.readouterr().err
    assert "llmlocal: warning: --n-ctx 9000 is more than the 8192 tokens" in warned
