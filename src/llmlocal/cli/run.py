"""``llmlocal run MODEL [PROMPT]``: one answer, streamed."""

from __future__ import annotations

import argparse
import logging
import os
import stat
import sys
from typing import TYPE_CHECKING

from llmlocal._tokens import has_lone_surrogate
from llmlocal.cli._model_options import (
    add_model_options,
    add_sampling_options,
    open_model,
    sampling_options,
)
from llmlocal.cli._prompt_bar import PromptBar
from llmlocal.cli._terminal import is_terminal
from llmlocal.cli.chat import talk
from llmlocal.errors import ParameterError

if TYPE_CHECKING:
    from llmlocal import LLM, ChatStream, Completion, Stream
    from llmlocal.cli.models import SubParsers

__all__ = ["register"]

_PIPE = "-"


def register(subparsers: SubParsers) -> None:
    """Add the command."""
    text = "answer one prompt"
    parser = subparsers.add_parser("run", help=text, description=text.capitalize() + ".")
    add_model_options(parser)
    parser.add_argument(
        "prompt",
        nargs="?",
        help="comes after what a pipe sends; - is the pipe alone; without either, a chat begins",
    )
    parser.add_argument("--system", metavar="TEXT", help="instruction that comes before the prompt")
    parser.add_argument(
        "--raw", action="store_true", help="continue the prompt as it is, without a chat template"
    )
    parser.add_argument("--stats", action="store_true", help="print statistics for the answer")
    add_sampling_options(parser)
    parser.set_defaults(run=_run, load=None, save=None, template=None, tools=None, yes=False)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.verbose:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
    if (
        arguments.prompt is None
        and is_terminal(sys.stdin)
        and not (arguments.raw or arguments.stats)
    ):
        return talk(arguments)
    prompt = _read_prompt(arguments.prompt)
    with open_model(arguments) as llm, _ask(llm, prompt, arguments) as stream:
        for piece in stream:
            print(piece, end="", flush=True)
        print()
        result = stream.result
    if arguments.stats:
        print(_figures(result), file=sys.stderr)
    return 0


def _ask(llm: LLM, prompt: str, arguments: argparse.Namespace) -> Stream | ChatStream:
    from llmlocal._chat import has_template

    options = sampling_options(arguments)
    options["on_prompt"] = PromptBar()
    if arguments.raw or not has_template(llm):
        if arguments.system:
            raise ParameterError("--system needs a chat template, and none is used here")
        return llm.generate(prompt, streaming=True, **options)
    return llm.chat(prompt, streaming=True, system=arguments.system, **options)


def _read_prompt(given: str | None) -> str:
    """What a pipe sends, and then what the command line says."""
    if given is not None and given != _PIPE:
        piped = _read_pipe() if _is_pipe_or_file() else ""
        return f"{piped.rstrip()}\n\n{given}" if piped.strip() else given
    if given is None and is_terminal(sys.stdin):
        raise ParameterError("there is no prompt: give one, or send it through a pipe")
    text = _read_pipe()
    if not text:
        raise ParameterError("the prompt from standard input is empty")
    return text


def _read_pipe() -> str:
    if sys.stdin is None:  # Closed by the shell: "<&-".
        return ""
    try:
        text = sys.stdin.read()
    except UnicodeDecodeError as exc:
        raise ParameterError(f"the prompt from standard input is not text: {exc}") from exc
    if has_lone_surrogate(text):  # How Python reads bytes that are no text.
        raise ParameterError("the prompt from standard input is not UTF-8 text")
    return text


def _is_pipe_or_file() -> bool:
    """Whether somebody sends something: a service's standard input may be open and silent."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _figures(result: Completion) -> str:
    usage, timings = result.usage, result.timings
    rate = 1 / timings.per_token if timings.per_token else 0
    return (
        f"{usage.completion_tokens} tokens, {rate:.1f} tokens/s, ended by {result.finish_reason}; "
        f"prompt: {usage.prompt_tokens} tokens, {usage.cached_tokens} cached; "
        f"first token after {timings.first_token:.3f} s; seed {result.seed}"
    )
