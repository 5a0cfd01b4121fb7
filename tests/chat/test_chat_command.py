"""``llmlocal chat`` as a person and as a pipe see it: the real command, with a tiny model."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..api.waiting import wait_until
from ..conftest import TinyPath
from ..tiny_models import MODELS

pty = pytest.importorskip("pty")  # absent on Windows

OPTIONS = [
    "--device",
    "cpu",
    "--n-ctx",
    "512",
    "--threads",
    "1",
    "--quiet",
    "--offline",
    "--temp",
    "0",
]
PATIENCE_S = 60
SEQUENCE = r"(\x1b\S*\r)"  # With it readline ends its work on a line.


def command(model: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "llmlocal", "chat", str(model), *OPTIONS, *more]


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
    return {**kept, "TERM": "xterm", "PYTHONUNBUFFERED": "1", **more}


# -- a pipe -------------------------------------------------------------------------------------


def pipe(model: Path, text: str, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(model, *more),
        input=text,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=environment(),
        check=False,
    )


def test_a_pipe_gets_the_answers_only(tiny_path: TinyPath) -> None:
    result = pipe(tiny_path("llama"), "hello\nthere\n", "--max-tokens", "4")
    assert result.returncode == 0
    answers = result.stdout.splitlines()
    assert len(answers) == 2
    assert all(answers)
    assert ">>>" not in result.stdout + result.stderr
    assert "\x1b" not in result.stdout + result.stderr
    assert "(stopped at --max-tokens)" in result.stderr


def test_a_pipe_sends_messages_only_and_may_keep_the_chat(
    tiny_path: TinyPath, tmp_path: Path
) -> None:
    file, other = tmp_path / "chat.json", tmp_path / "secret"
    text = f'one \\\ntwo\n"""\nthree\n\nfour"""\n/save {other}\n//etc\nexit\n'
    options = ["--max-tokens", "3", "--system", "Be terse.", "--save", str(file)]
    result = pipe(tiny_path("llama"), text, *options)
    assert result.returncode == 0
    said = [
        message["content"]
        for message in json.loads(file.read_text(encoding="utf-8"))["messages"]
        if message["role"] != "assistant"
    ]
    assert said == ["Be terse.", "one \ntwo", "three\n\nfour", f"/save {other}", "//etc", "exit"]
    assert not other.exists()

    more = ["--max-tokens", "3", "--load", str(file), "--save", str(file)]
    again = pipe(tiny_path("llama"), "more\n", *more)
    assert again.returncode == 0
    assert len(json.loads(file.read_text(encoding="utf-8"))["messages"]) == 13


def test_a_pipe_ends_with_the_first_error(tiny_path: TinyPath, tmp_path: Path) -> None:
    plain = MODELS["llama"]().changed(without=["tokenizer.chat_template"])
    result = pipe(plain.write(tmp_path / "plain.gguf"), "hello\nthere\n")
    assert (result.returncode, result.stdout) == (1, "")
    assert "no chat template" in result.stderr
    result = pipe(tiny_path("llama"), "", "--load", "/absent")
    assert result.returncode == 2
    assert "/absent can't be read" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_template_may_be_a_file(tmp_path: Path) -> None:
    plain = MODELS["llama"]().changed(without=["tokenizer.chat_template"])
    template = tmp_path / "template.jinja"
    template.write_text("{% for m in messages %}{{ m.content }}{% endfor %}", encoding="utf-8")
    result = pipe(
        plain.write(tmp_path / "plain.gguf"),
        "hello\n",
        "--template",
        str(template),
        "--max-tokens",
        "3",
    )
    assert (result.returncode, len(result.stdout.splitlines())) == (0, 1)


# -- a terminal ---------------------------------------------------------------------------------


class Sleep:
    """Whether a process sleeps: seen many times without that it woke up in between."""

    _TIMES = 20

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._naps: list[str] = []

    def goes_on(self) -> bool:
        if not self._status.exists():
            return True  # Not on Linux: there it can't be seen, and nearly always does.
        facts = dict(line.split(":", 1) for line in self._status.read_text().splitlines())
        if not facts["State"].strip().startswith("S"):
            return False
        self._naps.append(facts["voluntary_ctxt_switches"])
        return self._naps[-self._TIMES :] == self._TIMES * self._naps[-1:]


class Typist:
    """Somebody at a terminal."""

    def __init__(self, arguments: list[str], env: dict[str, str]) -> None:
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:  # pragma: no cover - another process
            # A shell that runs the tests in the background has it ignored.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.execvpe(arguments[0], arguments, env)
        self.seen = ""

    def expect(self, pattern: str) -> str:
        """Wait until what was not yet read has ``pattern`` in it; what came up to its end."""
        deadline = time.monotonic() + PATIENCE_S
        while not (match := re.search(pattern, self.seen)):
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([self._terminal], [], [], left)[0]
            assert ready, f"{pattern!r} did not come; {self.seen[-500:]!r} did"
            try:
                self.seen += os.read(self._terminal, 4096).decode(errors="replace")
            except OSError:  # Linux's way to say that the other side is closed
                assert re.search(pattern, self.seen), f"it ended with {self.seen!r}"
        text, self.seen = self.seen[: match.end()], self.seen[match.end() :]
        return text

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def interrupt(self) -> None:
        self.type("\x03")

    def interrupt_at_prompt(self) -> None:
        """Press Ctrl-C once the command waits for a key, as everybody does who has read a prompt.

        Python's readline shows the prompt before it waits, and sees a signal that comes between the
        two with the next key only.
        """
        self.expect(">>> ")
        wait_until(Sleep(self.pid).goes_on)
        self.interrupt()

    def leave(self) -> int:
        """The exit code, once the command has ended."""
        while True:
            ready, _, _ = select.select([self._terminal], [], [], PATIENCE_S)
            assert ready, "it did not end"
            try:
                if not os.read(self._terminal, 4096):
                    break
            except OSError:
                break
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self._terminal)


Start = Callable[..., Typist]


@pytest.fixture
def start(tiny_path: TinyPath) -> Iterator[Start]:
    """Starts the command at a terminal."""
    typists: list[Typist] = []

    def start_one(*more: str, model: str = "llama", **env: str) -> Typist:
        typists.append(Typist(command(tiny_path(model), *more), environment(**env)))
        return typists[-1]

    yield start_one
    for typist in typists:
        typist.close()


def test_a_person_is_greeted_and_answered(start: Start) -> None:
    person = start("--max-tokens", "4")
    person.expect(r"tiny-llama.gguf on CPU; /help lists the commands\r\n")
    person.expect(">>> ")
    person.type("hello\n")
    person.expect(r"hello\r\n")
    answer = person.expect(">>> ")
    assert answer.removesuffix(">>> ").strip()
    person.type("/stats\n")
    person.expect("answer   4 tokens")
    person.expect(">>> ")
    person.type("/exit\n")
    assert person.leave() == 0


def test_the_end_of_the_input_leaves(start: Start) -> None:
    person = start()
    person.expect(">>> ")
    person.type("\x04")
    assert person.leave() == 0


def test_many_lines(start: Start, tmp_path: Path) -> None:
    person = start("--max-tokens", "2")
    person.expect(">>> ")
    person.type("one \\\n")
    person.expect(r"\.\.\. ")
    person.type("two\n")
    person.expect(">>> ")
    person.type('"""three\n')
    person.expect(r"\.\.\. ")
    person.type('four"""\n')
    person.expect(">>> ")
    person.type(f"/save {tmp_path / 'chat.json'}\n")
    person.expect("saved 4 messages")
    saved = (tmp_path / "chat.json").read_text(encoding="utf-8")
    assert '"one \\ntwo"' in saved
    assert '"three\\nfour"' in saved


def test_ctrl_c_stops_the_answer_and_keeps_the_chat(start: Start) -> None:
    person = start("--n-ctx", "60000")  # a tiny model never ends by itself
    person.expect(">>> ")
    person.type("hello\n")
    person.expect(rf"hello\r\n{SEQUENCE}?[^\w\x1b]*\w")
    person.interrupt()
    person.expect(r"\(stopped\)")
    person.expect(">>> ")
    person.type("/stats\n/undo\n")
    person.expect("took back: hello")
    person.expect(">>> ")
    person.type("/exit\n")
    assert person.leave() == 0


def test_ctrl_c_twice_at_the_prompt_leaves(start: Start) -> None:
    person = start()
    person.interrupt_at_prompt()
    person.expect(r"\(Ctrl-C again, or /exit, leaves\)")
    person.interrupt_at_prompt()
    assert person.leave() == 0


def test_lines_can_be_edited_and_called_back(start: Start) -> None:
    pytest.importorskip("readline")
    person = start("--max-tokens", "2")
    person.expect(">>> ")
    person.type("/system x\x7fyes\n")
    person.expect(r"system: yes")
    person.expect(">>> ")
    person.type("\x1b[A\n")
    person.expect(r"system: yes")


def test_a_pasted_text_is_one_message(start: Start, tmp_path: Path) -> None:
    readline = pytest.importorskip("readline")
    if "GNU" not in readline.__doc__:
        pytest.skip("this readline takes a pasted text line by line")
    person = start("--max-tokens", "2")
    person.expect(r"\x1b\[\?2004h>>> ")  # So a terminal knows that it may say what is pasted.
    person.type("\x1b[200~one\ntwo\n\n  three\x1b[201~\n")
    person.expect(r"three[\s\S]*>>> ")
    person.type(f"/save {tmp_path / 'chat.json'}\n")
    person.expect("saved 2 messages")
    saved = (tmp_path / "chat.json").read_text(encoding="utf-8")
    assert '"one\\ntwo\\n\\n  three"' in saved
