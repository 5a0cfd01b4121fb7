"""The commands about models: ``models``, ``pull``, ``show``, ``verify``, ``rm`` and ``path``.

Each is a function from its arguments to an exit code: 0, 1 for an error (one line on standard
error), 2 for a usage error.  What they print is decided in :mod:`._models_text`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from .. import models
from ..errors import LLMLocalError
from ._errors import report_error
from ._table import print_table

if TYPE_CHECKING:
    from .._progress import ProgressOption

__all__ = ["register"]

Command = Callable[[argparse.Namespace], int]


class SubParsers(Protocol):
    """What ``add_subparsers`` returns, as far as it is used here."""

    def add_parser(self, name: str, *, help: str, description: str) -> argparse.ArgumentParser:
        """Add a command."""


def register(subparsers: SubParsers) -> None:
    """Add the commands; each sets ``run``, a function from the arguments to an exit code."""
    parser = _add(subparsers, "models", _models, "list the models that are known and on disk")
    parser.add_argument("--installed", action="store_true", help="only those that are on disk")
    parser.add_argument("--task", choices=("text", "code", "embedding"))
    parser.add_argument("--architecture", metavar="NAME", help="for instance llama")
    parser.add_argument("--licence", metavar="NAME", help="for instance Apache-2.0")
    parser.add_argument("--max-size", type=_size, metavar="SIZE", help="for instance 2GB")
    parser.add_argument("--max-ram", type=_size, metavar="SIZE", help="for instance 8GB")
    parser.add_argument("--refresh", metavar="URL", nargs="?", const="", help="fetch the catalog")

    parser = _add(subparsers, "pull", _pull, "fetch and verify a model")
    parser.add_argument("name", help="a name, hf:OWNER/REPO:QUANT, hf:OWNER/REPO/FILE or a URL")
    parser.add_argument("--sha256", metavar="HEX", help="what the file's SHA-256 must be")
    parser.add_argument("--md5", metavar="HEX", help="what the file's MD5 must be")
    parser.add_argument("--size", type=int, metavar="BYTES", help="what the file's size must be")
    parser.add_argument("--quiet", action="store_true", help="show no progress")

    parser = _add(subparsers, "show", _show, "show what a model is and the memory it needs")
    parser.add_argument("name", help="a name, a path or a URL; remote headers are fetched")
    parser.add_argument("--n-ctx", type=int, metavar="TOKENS", help="context to calculate with")
    parser.add_argument("--kv-type", default="f16", metavar="TYPE", help="f16, q8_0, ...")
    parser.add_argument("--metadata", action="store_true", help="all settings")
    parser.add_argument("--tensors", action="store_true", help="all tensors")
    parser.add_argument("--template", action="store_true", help="the chat template, alone")

    parser = _add(subparsers, "verify", _verify, "read a model's bytes and check them")
    parser.add_argument("names", nargs="*", metavar="name", help="default: all of the own folder")
    parser.add_argument("--quiet", action="store_true", help="show no progress")

    parser = _add(subparsers, "rm", _rm, "delete a model from the models folder")
    parser.add_argument("names", nargs="+", metavar="name")

    parser = _add(subparsers, "path", _path, "print where a model is")
    parser.add_argument("name", nargs="?", help="default: the models folder")


def _add(
    subparsers: SubParsers, name: str, command: Command, help_text: str
) -> argparse.ArgumentParser:
    description = help_text[0].upper() + help_text[1:] + "."
    parser = subparsers.add_parser(name, help=help_text, description=description)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--model-path", metavar="FOLDER", help="look only in this folder")
    parser.set_defaults(run=command)
    return parser


def _models(arguments: argparse.Namespace) -> int:
    from . import _models_text as text

    if arguments.refresh is not None:
        count = models.refresh(arguments.refresh or None)
        print(f"the catalog has {count} models", file=sys.stderr)
    cards = models.catalog(
        task=arguments.task,
        architecture=arguments.architecture,
        licence=arguments.licence,
        max_bytes=arguments.max_size,
        max_ram_bytes=arguments.max_ram,
    )
    is_filtered = len(cards) < len(models.catalog())
    rows = text.rows(cards, models.installed(arguments.model_path), is_filtered=is_filtered)
    if arguments.installed:
        rows = [row for row in rows if row.path is not None]
    if arguments.json:
        return _print_json([row.as_json() for row in rows])
    if not rows:
        return _remark("no model is on disk" if arguments.installed else "no model matches")
    print_table(text.table(rows), spare=text.SPARE)
    return 0


def _pull(arguments: argparse.Namespace) -> int:
    try:
        path = models.pull(
            arguments.name,
            model_path=arguments.model_path,
            sha256=arguments.sha256,
            md5=arguments.md5,
            size=arguments.size,
            progress=_progress(arguments),
        )
    except KeyboardInterrupt:
        text = "stopped; what has arrived is kept, and the same command goes on from there"
        print(f"\n{text}", end="", file=sys.stderr)
        raise
    return _print_json({"path": str(path)}) if arguments.json else _print(str(path))


def _show(arguments: argparse.Namespace) -> int:
    from . import _models_text as text

    info = models.inspect(arguments.name, model_path=arguments.model_path)
    memory = info.memory(arguments.n_ctx, kv_type=arguments.kv_type)
    if arguments.template:
        return _print(info.chat_template or "")
    if arguments.json:
        shown = text.info_as_json(
            info, memory, metadata=arguments.metadata, tensors=arguments.tensors
        )
        return _print_json(shown)
    lines = text.info_lines(info, memory, metadata=arguments.metadata, tensors=arguments.tensors)
    for line in lines:
        print(line)
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    """Verify each; one bad model does not keep the others from being read."""
    names = arguments.names or [
        model.name for model in models.installed(arguments.model_path) if model.is_own
    ]
    if not names:
        _remark(f"there is no model in {models.models_folder(arguments.model_path)}")
    results = [_verify_one(name, arguments) for name in names]
    if arguments.json:
        _print_json([file for files, _ in results for file in files])
    return max((code for _, code in results), default=0)


def _verify_one(name: str, arguments: argparse.Namespace) -> tuple[list[dict[str, Any]], int]:
    try:
        found = models.verify(name, model_path=arguments.model_path, progress=_progress(arguments))
    except LLMLocalError as exc:
        return [{"name": name, "error": str(exc)}], report_error(exc)
    if not arguments.json:
        for file in found:
            print(f"{file.path}\tgood, by its {file.against}")
    return [
        {
            "name": name,
            "path": str(file.path),
            "size_bytes": file.size_bytes,
            "sha256": file.sha256,
            "against": file.against,
        }
        for file in found
    ], 0


def _rm(arguments: argparse.Namespace) -> int:
    """Delete each; one that cannot be deleted does not keep the others."""
    removed: list[str] = []
    code = 0
    for name in arguments.names:
        try:
            removed += map(str, models.remove(name, model_path=arguments.model_path))
        except LLMLocalError as exc:
            code = max(code, report_error(exc))
    if arguments.json:
        _print_json({"removed": removed})
    else:
        _print(*removed)
    return code


def _path(arguments: argparse.Namespace) -> int:
    if arguments.name is None:
        path = models.models_folder(arguments.model_path)
    else:
        path = models.find(arguments.name, arguments.model_path).path
    return _print_json({"path": str(path)}) if arguments.json else _print(str(path))


def _progress(arguments: argparse.Namespace) -> ProgressOption:
    return False if arguments.quiet else None


def _remark(line: str) -> int:
    """Say why there is no output, where that does not mix with it."""
    print(f"llmlocal: {line}", file=sys.stderr)
    return 0


def _print(*lines: str) -> int:
    for line in lines:
        print(line)
    return 0


def _print_json(value: object) -> int:
    return _print(json.dumps(value, indent=1, ensure_ascii=False))


def _size(value: str) -> int:
    """Bytes from ``500MB``, ``2GB`` or a plain number."""
    units = {"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
    number, unit = (value[:-2], units.get(value[-2:].upper())) if len(value) > 2 else (value, None)
    try:
        return int(float(number) * unit) if unit else int(value)
    except ValueError:
        message = f"{value!r} is not a size such as 500MB or 2GB"
        raise argparse.ArgumentTypeError(message) from None
