"""The two ends of an interactive command: lines in, text out, on a terminal or in a pipe.

Answers go to standard output and everything else to standard error, so that the answers can be
sent on.  Colour and prompts are for people: neither is in a pipe.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

from llmlocal._quote import quote
from llmlocal._tokens import has_lone_surrogate
from llmlocal.errors import ParameterError

__all__ = ["Terminal", "is_terminal"]

_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"
_BLOCK = '"""'


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person is at the other end; a stream that the shell closed is None."""
    return stream is not None and stream.isatty()


def _edit_lines() -> None:
    """Have ``input()`` edit lines, and take a pasted text of several lines as one."""
    # Windows has no such module, and its console edits lines by itself.
    with contextlib.suppress(ImportError):
        import readline

        # Python turns it off, as its own prompt reads line by line. Others than GNU's ignore it.
        if "GNU" in (readline.__doc__ or ""):
            readline.parse_and_bind("set enable-bracketed-paste on")


class Terminal:
    """Standard input, output and error.

    Attributes:
        is_interactive: Whether a person types the input.
    """

    def __init__(self) -> None:
        self.is_interactive = is_terminal(sys.stdin)
        self._shows_output = is_terminal(sys.stdout)
        has_colour = self._shows_output and not os.environ.get("NO_COLOR")
        self._has_colour = has_colour and os.environ.get("TERM") != "dumb"
        if self.is_interactive and self._shows_output:
            _edit_lines()

    def read_message(self) -> str | None:
        """The next message; None at the end of the input.

        A backslash at a line's end continues it on the next; three double quotes begin and end a block
        of lines; a pasted text is one message.
        """
        line = self._read_line(">>> ")
        if line is None:
            return None
        if line.lstrip().startswith(_BLOCK):
            return self._read_block(line.lstrip().removeprefix(_BLOCK))
        lines = [line]
        while lines[-1].endswith("\\"):
            lines[-1] = lines[-1][:-1]
            lines.append(self._read_line("... ") or "")
        return "\n".join(lines)

    def ask(self, question: str) -> bool:
        """Whether a person says yes; no answer is a no."""
        answer = self._read_line(question)
        return answer is not None and answer.strip().lower() in ("y", "yes")

    def _read_block(self, line: str | None) -> str:
        lines: list[str] = []
        while line is not None and not line.rstrip().endswith(_BLOCK):
            lines.append(line)
            line = self._read_line("... ")
        if line is not None:
            lines.append(line.rstrip().removesuffix(_BLOCK))
        return "\n".join(lines).strip("\n")

    def _read_line(self, prompt: str) -> str | None:
        if self.is_interactive and self._shows_output:
            try:
                return input(prompt)
            except EOFError:
                return None
        if self.is_interactive:
            self._tell(prompt)
        line = sys.stdin.readline() if sys.stdin is not None else ""
        if has_lone_surrogate(line):  # How Python reads bytes that are no text.
            raise ParameterError(f"a line of the input is not UTF-8 text: {quote(line)}")
        return line.rstrip("\r\n") if line else None

    def write(self, text: str) -> None:
        """Part of an answer."""
        print(text, end="", flush=True)

    def write_aside(self, text: str) -> None:
        """Text that a person may read, and a pipe does not get."""
        if self._has_colour:
            text = f"{_DIM}{text}{_PLAIN}"
        if self._shows_output:
            self.write(text)

    def note(self, text: str) -> None:
        """A line that is no answer."""
        self._tell(f"{text}\n")

    def _tell(self, text: str) -> None:
        print(text, end="", file=sys.stderr, flush=True)
