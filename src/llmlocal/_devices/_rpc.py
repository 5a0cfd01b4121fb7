"""Addresses of RPC servers, which lend their devices to this process, and how long to wait for them.

The protocol is ggml's.  It knows no passwords and trusts whoever connects: servers and clients belong
on a network of which every machine is trusted.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llmlocal._checks import listed
from llmlocal._quote import quote
from llmlocal._tokens import check_text
from llmlocal.errors import ParameterError

__all__ = ["CONNECT_S", "DEFAULT_PORT", "STALL_VARIABLE", "Address", "parse_servers", "stall_limit"]

DEFAULT_PORT = 50052
CONNECT_S = 5.0
"""Seconds for the connection to a server, and for its first answer."""

STALL_VARIABLE = "LLMLOCAL_RPC_TIMEOUT"
_STALL_S = 120.0


@dataclass(frozen=True)
class Address:
    """Where an RPC server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_servers(servers: Sequence[str]) -> list[Address]:
    """The addresses in ``rpc_servers``: ``"host:port"``, ``"host"`` or ``"[IPv6 address]:port"``.

    Raises:
        ParameterError: One of them is not of this form, or is there twice.
    """
    given = listed("rpc_servers", servers)
    for each in given:
        check_text(each, "rpc_servers: an address")
    addresses = [_parse(server) for server in given]
    if len(set(addresses)) != len(addresses):
        raise ParameterError(f"rpc_servers={quote(given)} names a server twice")
    return addresses


def _parse(server: str) -> Address:
    host, bracket, rest = server.strip().removeprefix("[").partition("]")
    if not bracket:
        host, _, port = host.partition(":")
    else:
        port = rest.removeprefix(":")
    is_number = port.isascii() and port.isdigit() and 0 < int(port) < 65536
    if not host or not (is_number or port == ""):
        raise ParameterError(
            f"rpc_servers: {quote(server)} is not an address such as '10.0.0.5:50052'"
        )
    return Address(host, int(port) if port else DEFAULT_PORT)


def stall_limit(environment: Mapping[str, str] = os.environ) -> float:
    """Seconds of silence after which a server that owes an answer is given up.

    That includes the time it computes: 120, or what ``LLMLOCAL_RPC_TIMEOUT`` says.

    Raises:
        ParameterError: The variable is not a number > 0.
    """
    text = environment.get(STALL_VARIABLE, "")
    try:
        seconds = float(text) if text else _STALL_S
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise ParameterError(f"{STALL_VARIABLE} must be seconds, > 0, got {quote(text)}")
    return seconds
