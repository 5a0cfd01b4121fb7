"""``llmlocal rpc-server``: lends this machine's devices to models on other machines."""

from __future__ import annotations

import argparse
import ipaddress
import signal
import sys
from typing import TYPE_CHECKING

from llmlocal._devices._rpc import DEFAULT_PORT
from llmlocal.errors import ParameterError

if TYPE_CHECKING:
    from llmlocal.cli.models import SubParsers

__all__ = ["register"]


def register(subparsers: SubParsers) -> None:
    """Add the command."""
    text = "lend this machine's devices to models that run elsewhere"
    parser = subparsers.add_parser(
        "rpc-server",
        help=text,
        description=f"{text.capitalize()}. Serves one client at a time. The protocol has no "
        "passwords and trusts its clients: use it on trusted networks only.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="IPv4 address to listen on")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, metavar="N")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads")
    parser.add_argument(
        "--device",
        action="append",
        metavar="NAME",
        help="what to lend; may be repeated; default: all GPUs, or the CPU",
    )
    parser.set_defaults(run=_serve)


def _serve(arguments: argparse.Namespace) -> int:
    from llmlocal import _core
    from llmlocal._devices._choice import devices, select
    from llmlocal._threads import default_threads

    host = _ipv4(arguments.host)
    if not 0 < arguments.port < 65536:
        raise ParameterError(f"--port must be 1 to 65535, got {arguments.port}")
    threads = default_threads() if arguments.threads is None else arguments.threads
    if not 1 <= threads <= 512:
        raise ParameterError(f"--threads must be 1 to 512, got {threads}")
    offload = select(arguments.device or "auto", devices()).offload
    names = [device.name for device in offload] or ["CPU"]
    if not host.is_loopback:
        print(
            f"llmlocal: warning: whoever reaches {host}:{arguments.port} can use, read and crash "
            "this process; trusted networks only",
            file=sys.stderr,
        )
    # The server never comes back to Python, which would otherwise wait to see Ctrl-C.
    former = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        _core.serve_rpc(str(host), arguments.port, threads=threads, devices=names)
    finally:
        signal.signal(signal.SIGINT, former)
    return 0


def _ipv4(host: str) -> ipaddress.IPv4Address:
    try:
        return ipaddress.IPv4Address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise ParameterError(f"--host must be an IPv4 address, got {host!r}") from None
