"""``llmlocal serve MODEL [MODEL...]``: the endpoints of OpenAI, Anthropic and Ollama, on this machine."""

from __future__ import annotations

import argparse
import ipaddress
import json
import logging
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llmlocal.cli._model_options import add_loading_options, loading_options
from llmlocal.errors import LLMLocalError, ParameterError

if TYPE_CHECKING:
    from llmlocal import ModelPool
    from llmlocal._pool import Kind
    from llmlocal.cli.models import SubParsers

__all__ = ["register"]

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
_NEAR = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_SIZES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


def register(subparsers: SubParsers) -> None:
    """Add the command."""
    text = "serve models to clients of OpenAI, Anthropic and Ollama"
    parser = subparsers.add_parser("serve", help=text, description=text.capitalize() + ".")
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help="a path, a name, hf:OWNER/REPO:QUANT or a URL; loaded when it is asked for",
    )
    group = parser.add_argument_group("serving")
    group.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    group.add_argument("--port", type=int, default=8080, help="port to listen on (%(default)s)")
    group.add_argument(
        "--api-key",
        metavar="KEY",
        default=os.environ.get("LLMLOCAL_API_KEY") or None,
        help="what clients must show; default: $LLMLOCAL_API_KEY",
    )
    group.add_argument(
        "--insecure", action="store_true", help="listen to other machines without an API key"
    )
    group.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="another site whose pages may use the server from a browser, or '*'; may be repeated",
    )
    group.add_argument(
        "--alias",
        action="append",
        default=[],
        metavar="NAME[=MODEL]",
        help="another name for a model, by default the first; may be repeated",
    )
    for option, what in (("--embedder", "embeds texts"), ("--reranker", "ranks documents")):
        group.add_argument(
            option, action="append", default=[], metavar="MODEL", help=f"a model that {what}"
        )
    group.add_argument(
        "--keep-alive",
        type=_seconds,
        default=600.0,
        metavar="TIME",
        help="unload a model that was idle for so long: 30s, 10m, 2h, or 'forever' (10m)",
    )
    group.add_argument(
        "--max-memory", type=_bytes, metavar="BYTES", help="what all models may take: 8G, 500M"
    )
    group.add_argument(
        "--max-requests",
        type=int,
        default=512,
        metavar="N",
        help="requests at once, waiting ones included; more get a 429 (%(default)s)",
    )
    add_loading_options(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    try:
        from llmlocal.server import _run as server
        from llmlocal.server import create_app
    except ModuleNotFoundError as exc:
        raise LLMLocalError(
            f"the server needs {exc.name}: run pip install 'llmlocal[server]'"
        ) from None
    if not is_loopback(arguments.host) and not arguments.api_key and not arguments.insecure:
        raise ParameterError(
            f"--host {arguments.host} lets other machines in: give an --api-key, or say --insecure"
        )
    if not 0 <= arguments.port <= 65_535:
        raise ParameterError(f"--port must be 0 to 65535, got {arguments.port}")
    level = logging.INFO if arguments.verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s")
    with _pool(arguments) as pool:
        app = create_app(
            pool,
            api_key=arguments.api_key,
            max_requests=arguments.max_requests,
            origins=arguments.allow_origin,
        )
        try:
            listening = server.listen(arguments.host, arguments.port)
        except OSError as exc:
            raise LLMLocalError(
                f"can't listen on {arguments.host}:{arguments.port}: {exc.strerror or exc}"
            ) from exc
        port = listening.getsockname()[1]
        address = _address(arguments.host, port)
        # What listens on every address is reached at this machine's own.
        near = _address(_NEAR.get(arguments.host, arguments.host), port)
        has_key = bool(arguments.api_key)
        server.run(
            app, listening, on_ready=lambda: _say_ready(address, near, pool, has_key=has_key)
        )
    return 0


def _pool(arguments: argparse.Namespace) -> ModelPool:
    from llmlocal import ModelPool

    return ModelPool(
        arguments.models,
        embedders=arguments.embedder,
        rerankers=arguments.reranker,
        keep_alive=arguments.keep_alive,
        max_memory=arguments.max_memory,
        aliases=_aliases(arguments.alias, arguments.models),
        **loading_options(arguments),
    )


def _aliases(given: list[str], models: list[str]) -> dict[str, str]:
    from llmlocal._pool import name_of_model

    aliases = {}
    for each in given:
        alias, _, model = each.partition("=")
        aliases[alias] = name_of_model(model or models[0])
    return aliases


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _say_ready(address: str, near: str, pool: ModelPool, *, has_key: bool) -> None:
    print(f"Serving {', '.join(pool.names)} at {address}", flush=True)
    if pool.of_kind("generate"):
        print(f"Chat: {near}/", file=sys.stderr)
    print(f"Try: {first_command(near, pool, has_key=has_key)}", file=sys.stderr, flush=True)


def first_command(address: str, pool: ModelPool, *, has_key: bool) -> str:
    """A command that shows the server at work, with the first model that it has."""
    kind, path, body = next(each for each in _FIRST if pool.of_kind(each[0]))
    data = json.dumps({"model": pool.of_kind(kind)[0], **body})
    key = ' -H "authorization: Bearer $LLMLOCAL_API_KEY"' if has_key else ""
    return f"curl {address}{path} -H 'content-type: application/json'{key} -d {shlex.quote(data)}"


_FIRST: Sequence[tuple[Kind, str, Mapping[str, Any]]] = (
    ("generate", "/v1/chat/completions", {"messages": [{"role": "user", "content": "Hello!"}]}),
    ("embed", "/v1/embeddings", {"input": "Hello!"}),
    ("rerank", "/v1/rerank", {"query": "color", "documents": ["The sky is blue.", "Hello!"]}),
)


def _seconds(text: str) -> float | None:
    if text == "forever":
        return None
    return _scaled(text, _UNITS, "a time such as 30s, 10m, 2h, or 'forever'")


def _bytes(text: str) -> int:
    return int(_scaled(text.removesuffix("B"), _SIZES, "a size such as 8G or 500M"))


def _scaled(text: str, units: dict[str, int], what: str) -> float:
    found: Any = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)\s*([a-zA-Z]?)", text.strip())
    if not found or found[2].lower() not in units:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return float(found[1]) * units[found[2].lower()]
