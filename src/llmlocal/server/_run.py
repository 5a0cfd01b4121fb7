"""Runs the application under uvicorn, with limits on those who connect and say nothing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from llmlocal.server._error_response import error_response
from llmlocal.server._http._errors import CUT

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["listen", "run"]

HEAD_S = 20.0
GRACE_S = 10
_BACKLOG = 256


class _TimedProtocol(H11Protocol):
    """Hangs up on who connects and does not send the head of a request in time."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._patience = self.loop.call_later(HEAD_S, self._hang_up)

    def _hang_up(self) -> None:
        # Set by the first request; the base class is not told of None.
        has_asked = getattr(self, "cycle", None) is not None
        if not has_asked and not self.transport.is_closing():
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._patience.cancel()
        super().connection_lost(exc)


def listen(host: str, port: int) -> socket.socket:
    """The socket to serve on.

    Raises:
        OSError: The address is taken, or is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


def run(
    app: Starlette,
    listening: socket.socket,
    *,
    on_ready: Callable[[], object],
    on_made: Callable[[uvicorn.Server], object] = lambda _: None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; running answers then have some seconds to end.

    Args:
        app: The application.
        listening: From :func:`listen`.
        on_ready: Called once requests are answered.
        on_made: Called with the server before it runs: ``should_exit`` ends it.
    """
    config = uvicorn.Config(
        _cuttable(app),
        http=_TimedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = _Server(config, on_ready)
    on_made(server)
    server.run(sockets=[listening])


def _cuttable(app: ASGIApp) -> ASGIApp:
    """The application, whose requests end in order where uvicorn cancels them after the grace time."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:
            if scope["type"] != "http":
                raise
            with contextlib.suppress(RuntimeError):  # The answer has begun.
                await error_response(CUT, scope["path"])(scope, receive, send)

    return serve


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._on_ready()
