"""The process of the simulated hosts: the hosts (`wire`) and their control endpoints, on one loopback port.

The control endpoints set faults and speeds at run time, and tell the state:

    GET    /_control                    the state, see `simulation.State`
    GET    /_control/latest?after=N     the requests that finished after the first N, see `simulation.Latest`
    PUT    /_control/faults/<host>      a fault, see `simulation.Fault`
    DELETE /_control/faults/<host>      ends all faults of the host
    PUT    /_control/speed/<host>       a speed, see `hosts.Speed`

All want `Authorization: Bearer` with the token that the process was started with.

Resets.  ASGI has no message for a connection's reset, so the server's own protocol class is extended: each connection
puts a `reset` function into the state that the server copies into every request's `scope["state"]`.  It sets SO_LINGER
to zero seconds and aborts the transport; the kernel then answers with RST instead of FIN, and what was written before
is not taken back.  It works alike with httptools and h11, and with the event loops of asyncio and uvloop.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from functools import partial
from typing import Any, cast
from urllib.parse import parse_qsl

from pydantic import ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from corral.simulated.hosts import CONTROL, HostsError, SimulatedHost, Speed, from_json, one_line
from corral.simulated.loopback import HttpCall, ProcessServer
from corral.simulated.shapes import to_json
from corral.simulated.simulation import Fault, Simulation
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


def simulated_app(simulation: Simulation, token: str) -> ASGIApp:
    """The app for `simulation`; its control endpoints want `token`."""
    wire, control = Wire(simulation), _Control(simulation, token)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        await (control if path == CONTROL or path.startswith(f"{CONTROL}/") else wire)(scope, receive, send)

    return app


class _RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Control:
    """The ASGI app of the control endpoints."""

    def __init__(self, simulation: Simulation, token: str) -> None:
        self._simulation = simulation
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = HttpCall(scope, receive, send)
        try:
            if not call.shows(self._token):
                raise _RefusedError(401, "the control token is missing or wrong")
            status, answer = 200, self._carry_out(scope, await call.body())
        except _RefusedError as refusal:
            status, answer = refusal.status, to_json({"error": {"message": str(refusal)}})
        except ValidationError as error:
            status, answer = 400, to_json({"error": {"message": one_line(error)}})
        await call.answer(status, answer)

    def _carry_out(self, scope: Scope, body: bytes) -> bytes:
        match scope["method"], scope["path"].removeprefix(CONTROL).split("/")[1:]:
            case "GET", []:
                return self._simulation.state().model_dump_json().encode()
            case "GET", ["latest"]:
                after = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True)).get("after", "0")
                if not (after.isascii() and after.isdigit()):
                    raise _RefusedError(400, "after: a whole number, 0 or more")
                return self._simulation.counts.latest(int(after)).model_dump_json().encode()
            case "PUT", ["faults", name]:
                host, fault = self._host(name), Fault.model_validate_json(body)
                if fault.model is not None and fault.model not in host.models:
                    known = ", ".join(sorted(host.models)) or "none"
                    raise _RefusedError(404, f"{name} serves no model {fault.model!r}: it serves {known}")
                self._simulation.faults.set(name, fault)
            case "DELETE", ["faults", name]:
                self._simulation.faults.clear(self._host(name).name)
            case "PUT", ["speed", name]:
                self._simulation.set_speed(self._host(name).name, Speed.model_validate_json(body))
            case method, _:
                raise _RefusedError(404, f"nothing is at {method} {scope['path']}")
        return b"{}"

    def _host(self, name: str) -> SimulatedHost:
        if name not in self._simulation.hosts:
            known = ", ".join(sorted(self._simulation.hosts)) or "none"
            raise _RefusedError(404, f"no simulated host is named {name!r}: there are {known}")
        return self._simulation.hosts[name]


def serve(listening: socket.socket, token: str) -> None:
    """Serves until a signal, or until the parent has ended; cuts what is still open then."""
    simulation = Simulation(())

    async def replace(line: bytes) -> str | None:
        try:
            simulation.replace(from_json(line))
        except HostsError as error:
            return str(error)
        return None

    app = simulated_app(simulation, token)
    ProcessServer(app, replace, http=ResettableProtocol).serve_until_ended(listening)
