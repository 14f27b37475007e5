"""The process of the simulated hosts: binds loopback, tells the port, ends when it is told to or its parent dies."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import uvicorn

from components.loopback.server import ProcessServer, settings
from components.simulated.app import simulated_app
from components.simulated.connection import ResettableProtocol
from components.simulated.hosts import SimulatedHost
from components.simulated.parent import end_with_parent
from components.simulated.simulation import Simulation

_KEEP_ALIVE = 3600
"""Seconds an idle connection stays: longer than any test, so that no close of ours crosses a request."""


def serve(
    hosts: tuple[SimulatedHost, ...], token: str, listening: socket.socket, ready: Path | None, *, with_parent: bool
) -> None:
    """Serves until SIGTERM or SIGINT, or, `with_parent`, until the parent is gone; cuts what is still open then.

    Once requests are answered, `ready` holds `{"port": ..., "pid": ...}`.
    """
    config = settings(
        simulated_app(Simulation(hosts), token),
        http=ResettableProtocol,
        log_level="warning",
        timeout_keep_alive=_KEEP_ALIVE,
    )
    server = _Server(config, ready)
    if with_parent:
        end_with_parent(server.stop)
    server.serve_until(listening, signal.SIGTERM, signal.SIGINT)


class _Server(ProcessServer):
    """Says when it is ready."""

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
