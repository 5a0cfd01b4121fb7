"""The options that all commands which load a model have in common."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Literal, cast

from llmlocal.cli._errors import show_warnings

if TYPE_CHECKING:
    from llmlocal import LLM
    from llmlocal._generation._options import Options

__all__ = [
    "add_loading_options",
    "add_model_options",
    "add_sampling_options",
    "loading_options",
    "open_model",
    "sampling_options",
]

_SAMPLING: dict[str, tuple[type, str]] = {
    "max_tokens": (int, "tokens to generate at most"),
    "temp": (float, "temperature; 0 = always the most probable token"),
    "top_k": (int, "keep this many most probable tokens; 0 = off"),
    "top_p": (float, "keep the most probable tokens up to this sum; 1 = off"),
    "min_p": (float, "drop tokens below this share of the best one; 0 = off"),
    "repeat_penalty": (float, "penalty for tokens seen lately; 1 = off"),
    "repeat_last_n": (int, "how many tokens count as lately; 0 = off"),
    "seed": (int, "seed of the random choices"),
    "timeout": (float, "seconds after which the text ends as it is"),
    "reasoning_budget": (int, "tokens of reasoning after which the model has to answer"),
}


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the model and how to load it."""
    parser.add_argument("model", help="a path, a name, hf:OWNER/REPO:QUANT or a URL")
    add_loading_options(parser)


def add_loading_options(parser: argparse.ArgumentParser) -> None:
    """Add how to load a model."""
    group = parser.add_argument_group("loading")
    group.add_argument("--model-path", metavar="FOLDER", help="look only in this folder")
    group.add_argument("--device", default="auto", help="auto, cpu, gpu, cuda:0, ...")
    group.add_argument(
        "--gpu-layers", type=_layers, default="auto", metavar="N", help="layers to keep there"
    )
    group.add_argument(
        "--rpc-server",
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="use this server's devices too; may be repeated",
    )
    group.add_argument("--n-ctx", type=int, metavar="TOKENS", help="size of the context")
    group.add_argument(
        "--n-parallel", type=int, default=8, metavar="N", help="requests that run at once"
    )
    group.add_argument("--threads", type=int, metavar="N", help="CPU threads")
    group.add_argument("--kv-type", default="f16", metavar="TYPE", help="f16, q8_0, ...")
    group.add_argument("--offline", action="store_true", help="download nothing")
    group.add_argument("--quiet", action="store_true", help="show no progress")
    group.add_argument("--verbose", action="store_true", help="show llama.cpp's messages")


def add_sampling_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a generation."""
    group = parser.add_argument_group("generation")
    for name, (kind, text) in _SAMPLING.items():
        group.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="N", help=text)
    group.add_argument(
        "--stop", action="append", metavar="TEXT", help="end before this text; may be repeated"
    )
    obey = parser.add_argument_group("what the answer must obey").add_mutually_exclusive_group()
    obey.add_argument("--schema", metavar="FILE", help="a JSON schema")
    obey.add_argument("--regex", metavar="PATTERN", help="a regular expression for all of it")
    obey.add_argument(
        "--choice",
        action="append",
        dest="choices",
        metavar="TEXT",
        help="it is this text; may be repeated",
    )
    obey.add_argument("--grammar", metavar="FILE", help="a grammar in GBNF or Lark")


def open_model(arguments: argparse.Namespace) -> LLM:
    """Load the model that the command line names."""
    from llmlocal import LLM

    show_warnings()
    options = loading_options(arguments)
    return LLM(arguments.model, progress=False if arguments.quiet else None, **options)


def loading_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the command line says of the load, as ``LLM`` takes it."""
    return {
        "model_path": arguments.model_path,
        "allow_download": not arguments.offline,
        "device": arguments.device,
        "n_ctx": arguments.n_ctx,
        "n_parallel": arguments.n_parallel,
        "n_threads": arguments.threads,
        "kv_type": arguments.kv_type,
        "n_gpu_layers": arguments.gpu_layers,
        "rpc_servers": arguments.rpc_server,
        "verbose": arguments.verbose,
    }


def _layers(value: str) -> int | Literal["auto"]:
    if value == "auto":
        return "auto"
    if not value.isascii() or not value.isdigit():
        raise argparse.ArgumentTypeError(f"{value!r} is not a number of layers, nor 'auto'")
    return int(value)


def sampling_options(arguments: argparse.Namespace) -> Options:
    """What the command line says of the generation; what it leaves out keeps its default.

    Raises:
        ParameterError: A file with a schema or a grammar can't be read.
    """
    from llmlocal.cli._chat_loop import read_file

    given: dict[str, Any] = {
        name: value
        for name in (*_SAMPLING, "stop", "regex", "choices")
        if (value := getattr(arguments, name)) is not None
    }
    for name in ("schema", "grammar"):
        if getattr(arguments, name) is not None:
            given[name] = read_file(getattr(arguments, name))
    return cast("Options", given)
