"""The process of the simulated hosts: binds loopback, tells the port, ends when it is told to or its parent dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from components.simulated.app import simulated_app
from components.simulated.connection import ResettableProtocol
from components.simulated.hosts import SimulatedHost
from components.simulated.parent import end_with_parent
from components.simulated.simulation import Simulation

LOOPBACK = "127.0.0.1"

_KEEP_ALIVE = 3600
"""Seconds an idle connection stays: longer than any test, so that no close of ours crosses a request."""


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


def serve(
    hosts: tuple[SimulatedHost, ...], token: str, listening: socket.socket, ready: Path | None, *, with_parent: bool
) -> None:
    """Serves until SIGTERM or SIGINT, or, `with_parent`, until the parent is gone; cuts what is still open then.

    Once requests are answered, `ready` holds `{"port": ..., "pid": ...}`.
    """
    config = uvicorn.Config(
        simulated_app(Simulation(hosts), token),
        http=ResettableProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
    )
    server = _Server(config, ready)
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, _exit)
    if with_parent:
        end_with_parent(server.stop)
    server.run(sockets=[listening])


def _exit(*_: object) -> None:
    sys.exit(0)


class _Server(uvicorn.Server):
    """Uvicorn's server, which says when it is ready and does not wait for open requests when it ends.

    After a signal uvicorn raises it once more for whoever handled it before; that is the exit with status 0 in `serve`.
    """

    def __init__(self, config: uvicorn.Config, ready: Path | None) -> None:
        super().__init__(config)
        self._ready = ready

    def stop(self) -> None:
        """Ends it soon; may be called on any thread."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._ready is not None and sockets:
            new = self._ready.with_name(f".{self._ready.name}.new")
            new.write_text(json.dumps({"port": sockets[0].getsockname()[1], "pid": os.getpid()}))
            new.replace(self._ready)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)
