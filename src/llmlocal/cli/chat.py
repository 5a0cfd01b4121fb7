"""``llmlocal chat MODEL``: a conversation in the terminal, or line by line through a pipe."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmlocal.cli._model_options import (
    add_model_options,
    add_sampling_options,
    open_model,
    sampling_options,
)
from llmlocal.errors import ParameterError, TemplateError

if TYPE_CHECKING:
    from llmlocal import LLM, ChatSession
    from llmlocal.cli.models import SubParsers

__all__ = ["register", "talk"]


def register(subparsers: SubParsers) -> None:
    """Add the command."""
    text = "talk with a model"
    parser = subparsers.add_parser("chat", help=text, description=text.capitalize() + ".")
    add_model_options(parser)
    parser.add_argument("--system", metavar="TEXT", help="instruction that comes first")
    parser.add_argument("--load", metavar="FILE", help="go on with a conversation from /save")
    parser.add_argument(
        "--save", metavar="FILE", help="write the conversation to a file at the end"
    )
    parser.add_argument(
        "--template",
        metavar="NAME",
        help="chat template of this name in the file, or a file with one",
    )
    parser.add_argument(
        "--tools", metavar="FILE.py", help="Python file whose functions the model may call"
    )
    parser.add_argument("--yes", action="store_true", help="call them without asking each time")
    add_sampling_options(parser)
    parser.set_defaults(run=talk)


def talk(arguments: argparse.Namespace) -> int:
    """Hold the conversation."""
    from llmlocal.cli._chat_loop import ChatLoop, write_file
    from llmlocal.cli._terminal import Terminal

    if arguments.verbose:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
    terminal = Terminal()
    tools = _tools(arguments, is_interactive=terminal.is_interactive)
    with open_model(arguments) as llm:
        session = _session(llm, arguments)
        if tools:
            session.tools = tools
        _require_template(llm, session)
        if terminal.is_interactive:
            terminal.note(f"{llm.path.name} on {llm.device}; /help lists the commands")
        loop = ChatLoop(llm, session, terminal, asks=not arguments.yes)
        loop.run()
        if arguments.save:
            write_file(arguments.save, loop.session.to_json())
    return 0


def _tools(arguments: argparse.Namespace, *, is_interactive: bool) -> list[Any]:
    """The functions that the model may call."""
    from llmlocal.cli._tool_file import load_tools

    if arguments.tools is None:
        return []
    if not is_interactive and not arguments.yes:
        raise ParameterError("--tools asks before each call, which a pipe can't answer; add --yes")
    return load_tools(arguments.tools)


def _session(llm: LLM, arguments: argparse.Namespace) -> ChatSession:
    from llmlocal import ChatSession
    from llmlocal.cli._chat_loop import read_file

    if arguments.load:
        session = ChatSession.from_json(llm, read_file(arguments.load))
        if arguments.system is not None:
            session.system = arguments.system
        session.options.update(sampling_options(arguments))
        return session
    return llm.chat_session(
        arguments.system,
        _template(arguments.template),
        overflow="drop_oldest",
        **sampling_options(arguments),
    )


def _require_template(llm: LLM, session: ChatSession) -> None:
    """Say at once, and not at the first message, that there is no template."""
    from llmlocal._chat import find_template, has_template

    if session.template is None and not has_template(llm):
        raise TemplateError(
            f"{llm.path.name} has no chat template: it was not made to chat."
            " Give one with --template, or continue a text with `llmlocal run`"
        )
    find_template(llm, session.template)


def _template(name: str | None) -> str | None:
    """The text of the template in a file, or the name as it is."""
    from llmlocal.cli._chat_loop import read_file

    return read_file(name) if name is not None and Path(name).is_file() else name
