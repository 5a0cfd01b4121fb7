"""The ``llmlocal`` command.

Printing and exit codes live here and nowhere else in the package: 0 for success, 1 for an error
(one line on standard error), 2 for a wrong call, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from llmlocal import __version__
from llmlocal.cli import cache, chat, devices, doctor, embed, models, rpc_server, run, serve
from llmlocal.cli._errors import report_error
from llmlocal.errors import LLMLocalError

__all__ = ["main"]

_INTERRUPTED = 130  # 128 + SIGINT: what a shell expects of a program that Ctrl-C ended.
_BROKEN_PIPE = 141  # 128 + SIGPIPE, for example after "| head".


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    arguments = _parse(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A character that the terminal's encoding lacks becomes a question mark, not an error.
        sys.stdout.reconfigure(errors="replace")
    try:
        code: int = arguments.run(arguments)
    except LLMLocalError as exc:
        return report_error(exc)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python must not try to flush the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except OSError as exc:  # A full disk behind ">", for example.
        return report_error(exc)
    return code


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    words = [*(sys.argv[1:] if argv is None else argv)]
    # Python's parsers differ in what they make of "--" before the last, optional word.
    last = words.pop() if words[-2:-1] == ["--"] else None
    arguments, rest = parser.parse_known_args(words[:-1] if last is not None else words)
    if last is not None:
        rest.append(last)
        if getattr(arguments, "prompt", "") is None:
            arguments.prompt = rest.pop()
    # Older Pythons take a prompt that may be absent for absent as soon as an option comes first.
    if (
        len(rest) == 1
        and (rest == ["-"] or not rest[0].startswith("-"))
        and getattr(arguments, "prompt", "") is None
    ):
        arguments.prompt = rest[0]
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llmlocal", description="Run local language models.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"llmlocal {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for part in (run, chat, embed, serve, models, devices, doctor, cache, rpc_server):
        part.register(commands)
    return parser
