"""Loopback, and how an ASGI app is served there.

Policy.  A server of Corral's own says nothing that its app does not say: no log of requests, no header with its name.
It takes no forwarded header for true, and speaks HTTP alone.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import Any

import uvicorn
from starlette.types import ASGIApp

LOOPBACK = "127.0.0.1"


def bind(port: int) -> socket.socket:
    """A listening socket on loopback; port 0 takes a free one.  Raises OSError.

    It names its protocol: asyncio sets TCP_NODELAY only where it does, and without it each answer takes 40 ms.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((LOOPBACK, port))
        listening.listen(2048)
    except OSError:
        listening.close()
        raise
    return listening


def settings(app: ASGIApp, **more: Any) -> uvicorn.Config:
    """Uvicorn's settings for an app, and `more` of the caller's."""
    return uvicorn.Config(
        app,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        **more,
    )


class ProcessServer(uvicorn.Server):
    """Uvicorn's server in a process of its own, which does not wait for open requests when it ends: it cuts them."""

    def serve_until(self, listening: socket.socket, *signals: signal.Signals) -> None:
        """Serves until one of the signals, which ends the process with status 0, or until `should_exit`.

        After a signal uvicorn raises it once more for whoever handled it before: that is the exit.
        """
        for number in signals:
            signal.signal(number, _exit)
        self.run(sockets=[listening])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)


def _exit(*_: object) -> None:
    sys.exit(0)
