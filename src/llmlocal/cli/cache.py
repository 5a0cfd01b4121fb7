"""``llmlocal cache``: what evaluated prefixes the disk keeps."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from llmlocal.errors import ParameterError

if TYPE_CHECKING:
    from llmlocal.cli.models import SubParsers

__all__ = ["register"]

_DAY_S = 24 * 60 * 60


def register(subparsers: SubParsers) -> None:
    """Add the commands."""
    text = "show or clear the prefixes that are kept on disk"
    parser = subparsers.add_parser("cache", help=text, description=text.capitalize() + ".")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, run, about in (
        ("list", _list, "list the prefixes"),
        ("size", _size, "print how many bytes they take"),
        ("clear", _clear, "remove them"),
    ):
        command = commands.add_parser(name, help=about, description=about.capitalize() + ".")
        command.add_argument(
            "--path", metavar="FOLDER", help="the folder (default: $LLMLOCAL_PREFIX_CACHE)"
        )
        if name == "list":
            command.add_argument("--json", action="store_true", help="print JSON")
        if name == "clear":
            command.add_argument(
                "--unused-days",
                type=float,
                default=0.0,
                metavar="DAYS",
                help="only those that nobody has used for so long",
            )
        command.set_defaults(run=run)


def _folder(arguments: argparse.Namespace) -> Path:
    from llmlocal._prefix_cache import chosen_folder

    folder = chosen_folder(arguments.path)
    if folder is None:
        raise ParameterError("which folder? give --path, or set LLMLOCAL_PREFIX_CACHE")
    return folder


def _list(arguments: argparse.Namespace) -> int:
    from llmlocal._prefix_cache import listing
    from llmlocal.models._disk._files import readable_size

    entries = listing(_folder(arguments))
    if arguments.json:
        rows = [
            {
                "path": str(entry.path),
                "bytes": entry.bytes,
                "tokens": entry.tokens,
                "unused_days": round(entry.idle_s / _DAY_S, 3),
                "identity": entry.identity,
            }
            for entry in entries
        ]
        print(json.dumps(rows, indent=1))
        return 0
    for entry in entries:
        what = f"{entry.tokens:>7} tokens" if entry.tokens else "half written  "
        idle = f"unused for {entry.idle_s / _DAY_S:.1f} days"
        print(f"{what}  {readable_size(entry.bytes):>9}  {idle}  {entry.path.name}")
    return 0


def _size(arguments: argparse.Namespace) -> int:
    from llmlocal._prefix_cache import listing

    print(sum(entry.bytes for entry in listing(_folder(arguments))))
    return 0


def _clear(arguments: argparse.Namespace) -> int:
    from llmlocal._prefix_cache import clear
    from llmlocal.models._disk._files import readable_size

    removed = clear(_folder(arguments), idle_s=arguments.unused_days * _DAY_S)
    print(f"{len(removed)} removed, {readable_size(sum(entry.bytes for entry in removed))}")
    return 0
