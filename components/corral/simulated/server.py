"""Real connection resets out of an ASGI app.

ASGI has no message for a reset, so the server's own protocol class is extended: each connection puts a `reset`
function into the state that the server copies into every request's `scope["state"]`.  It sets SO_LINGER to zero
seconds and aborts the transport; the kernel then answers with RST instead of FIN, and what was written before is not
taken back.  It works alike with httptools and h11, and with the event loops of asyncio and uvloop.

Ending with the parent, whichever way it ends, so that no simulated host is left behind.

Everywhere: the parent holds the other end of this process's standard input; when it dies, the kernel closes it.  On
Linux the kernel also sends a signal, for the case that somebody else has inherited that end.  That signal comes
already when the *thread* ends that started this process, so it counts only if the parent is another one by then
(prctl(2), PR_SET_PDEATHSIG).

The ASGI app of the simulated hosts' process: the hosts, and their control endpoints beside them.

The process of the simulated hosts: binds loopback, tells the port, ends when it is told to or its parent dies.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from corral.simulated.control_app import control_app
from corral.simulated.hosts import CONTROL, SimulatedHost
from corral.simulated.loopback import ProcessServer, settings
from corral.simulated.simulation import Simulation
from corral.simulated.wire import Wire

_NO_LINGER = struct.pack("ii", 1, 0)


class ResettableProtocol(AutoHTTPProtocol):
    """Uvicorn's HTTP protocol, with `scope["state"]["reset"]`."""

    app_state: dict[str, Any]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.app_state = self.app_state | {"reset": partial(_reset, cast("asyncio.Transport", transport))}
        super().connection_made(transport)


def _reset(transport: asyncio.Transport) -> None:
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


_PR_SET_PDEATHSIG = 1
"""linux/prctl.h"""


def end_with_parent(stop: Callable[[], None]) -> None:
    """Has `stop` called once the parent is gone.  For the main thread; `stop` is called on any, maybe twice."""
    threading.Thread(target=_at_end_of_input, args=(stop,), daemon=True).start()
    if sys.platform == "linux":
        _at_death_of_parent(stop)


def _at_end_of_input(stop: Callable[[], None]) -> None:
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    stop()


def _at_death_of_parent(stop: Callable[[], None]) -> None:
    parent = os.getppid()

    def check(*_: object) -> None:
        if os.getppid() != parent:
            stop()

    signal.signal(signal.SIGUSR1, check)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGUSR1)


def simulated_app(simulation: Simulation, token: str) -> ASGIApp:
    """The app for `simulation`; its control endpoints want `token`."""
    wire, control = Wire(simulation), control_app(simulation, token)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        await (control if path == CONTROL or path.startswith(f"{CONTROL}/") else wire)(scope, receive, send)

    return app


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
