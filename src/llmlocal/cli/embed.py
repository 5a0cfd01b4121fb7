"""``llmlocal embed`` and ``llmlocal rerank``: vectors, similarities and orders of texts."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmlocal.errors import ParameterError

if TYPE_CHECKING:
    from llmlocal import Embedder
    from llmlocal.cli.models import SubParsers

__all__ = ["register"]

_WIDEST_TABLE = 1000  # Texts: beyond this a table of similarities is for nobody to read.
_LABEL = 24  # Characters of a text in the table.


def register(subparsers: SubParsers) -> None:
    """Add the commands."""
    _register_embed(subparsers)
    _register_rerank(subparsers)


def _register_embed(subparsers: SubParsers) -> None:
    text = "turn texts into vectors"
    parser = subparsers.add_parser(
        "embed",
        help=text,
        description=f"{text.capitalize()}: one JSON line for each, unless asked otherwise.",
    )
    _add_model(parser)
    parser.add_argument("text", nargs="*", help='texts; none or "-": the lines of standard input')
    parser.add_argument(
        "--prefix", metavar="TEXT", help='"query", "document", or what goes before each text'
    )
    parser.add_argument("--dimensions", type=int, metavar="N", help="keep so many numbers")
    parser.add_argument(
        "--dtype",
        default="float32",
        choices=("float32", "float16", "int8", "binary"),
        help="type of the numbers",
    )
    parser.add_argument(
        "--truncate",
        default="cut",
        choices=("cut", "error", "mean"),
        help="what becomes of texts that are too long",
    )
    parser.add_argument("--pooling", choices=("mean", "cls", "last"), help="default: the model's")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--npy", metavar="FILE", help="write one array, as numpy.load reads it")
    output.add_argument(
        "--similarity", action="store_true", help="print a table of how close the texts are"
    )
    parser.set_defaults(run=_embed)


def _register_rerank(subparsers: SubParsers) -> None:
    text = "order documents by how well they answer a query"
    parser = subparsers.add_parser("rerank", help=text, description=f"{text.capitalize()}.")
    _add_model(parser)
    parser.add_argument("query", help="what is asked")
    parser.add_argument(
        "document", nargs="*", help='documents; none or "-": the lines of standard input'
    )
    parser.add_argument("--top", type=int, metavar="N", help="print only the best")
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    parser.set_defaults(run=_rerank)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a path, a name, hf:OWNER/REPO:QUANT or a URL")
    group = parser.add_argument_group("loading")
    group.add_argument("--model-path", metavar="FOLDER", help="look only in this folder")
    group.add_argument("--device", default="auto", help="auto, cpu, gpu, cuda:0, ...")
    group.add_argument("--n-ctx", type=int, metavar="TOKENS", help="tokens read of a text")
    group.add_argument("--threads", type=int, metavar="N", help="CPU threads")
    group.add_argument("--offline", action="store_true", help="download nothing")
    group.add_argument("--quiet", action="store_true", help="show no progress")
    group.add_argument("--verbose", action="store_true", help="show llama.cpp's messages")


def _loading(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "model_path": arguments.model_path,
        "allow_download": not arguments.offline,
        "device": arguments.device,
        "n_ctx": arguments.n_ctx,
        "n_threads": arguments.threads,
        "progress": False if arguments.quiet else None,
        "verbose": arguments.verbose,
    }


def _embed(arguments: argparse.Namespace) -> int:
    from llmlocal import Embedder

    texts = _texts(arguments.text)
    options = {
        "prefix": arguments.prefix,
        "dimensions": arguments.dimensions,
        "truncate": True if arguments.truncate == "cut" else arguments.truncate,
        "dtype": arguments.dtype,
    }
    with Embedder(arguments.model, pooling=arguments.pooling, **_loading(arguments)) as embedder:
        if arguments.npy:
            _write_array(embedder, texts, options, Path(arguments.npy))
        elif arguments.similarity:
            _print_table(embedder, list(islice(texts, _WIDEST_TABLE + 1)), options)
        else:
            for vector in embedder.embed_each(texts, **options):
                print(json.dumps(vector.tolist()), flush=True)
    return 0


def _write_array(
    embedder: Embedder, texts: Iterator[str], options: dict[str, Any], path: Path
) -> None:
    import numpy as np

    with path.open("wb") as file:  # numpy would add an ending to a name.
        np.save(file, embedder.embed(texts, **options))


def _print_table(embedder: Embedder, texts: list[str], options: dict[str, Any]) -> None:
    if len(texts) > _WIDEST_TABLE:
        raise ParameterError(f"a table of similarities has at most {_WIDEST_TABLE} texts")
    vectors = embedder.embed(texts, **options)
    for text, row in zip(texts, embedder.similarity(vectors, vectors), strict=True):
        label = " ".join(text.split())[:_LABEL]
        print(f"{label:{_LABEL}}", *(f"{each:6.3f}" for each in row))


def _rerank(arguments: argparse.Namespace) -> int:
    from llmlocal import Reranker

    documents = list(_texts(arguments.document))
    with Reranker(arguments.model, **_loading(arguments)) as reranker:
        for each in reranker.rerank(arguments.query, documents, top_n=arguments.top):
            if arguments.json:
                entry = {"index": each.index, "score": each.score, "document": each.document}
                print(json.dumps(entry, ensure_ascii=False))
            else:
                print(f"{each.score:9.4f}  {each.index:5}  {each.document}")
    return 0


def _texts(given: list[str]) -> Iterator[str]:
    """The arguments, or the lines of standard input, read as they come."""
    if given and given != ["-"]:
        yield from given
        return
    if sys.stdin.isatty() and not given:
        raise ParameterError('there is no text: give some, or "-" for the lines you type')
    try:
        for line in sys.stdin:
            yield line.rstrip("\r\n")
    except UnicodeDecodeError as exc:
        raise ParameterError(f"standard input is not text: {exc}") from exc
