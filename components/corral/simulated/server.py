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

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from corral.simulated.hosts import CONTROL, HostsError, SimulatedHost, Speed, from_json, one_line
from corral.simulated.loopback import HttpCall, ProcessServer
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
    wire, control = Wire(simulation), _control_app(simulation)
    locked = _problem(401, "the control token is missing or wrong")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path != CONTROL and not path.startswith(f"{CONTROL}/"):
            await wire(scope, receive, send)
        else:
            shown = HttpCall(scope, receive, send).shows(token)
            await (control if shown else locked)(scope, receive, send)

    return app


def _control_app(simulation: Simulation) -> ASGIApp:
    control = _Control(simulation)
    return Starlette(
        routes=[
            Route(CONTROL, control.state, methods=["GET"]),
            Route(f"{CONTROL}/latest", control.latest, methods=["GET"]),
            Route(f"{CONTROL}/faults/{{host}}", control.put_fault, methods=["PUT"]),
            Route(f"{CONTROL}/faults/{{host}}", control.delete_faults, methods=["DELETE"]),
            Route(f"{CONTROL}/speed/{{host}}", control.put_speed, methods=["PUT"]),
        ],
        exception_handlers={HTTPException: _refused, ValidationError: _invalid},
    )


class _Control:
    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    async def state(self, _: Request) -> Response:
        return Response(self._simulation.state().model_dump_json(), media_type="application/json")

    async def latest(self, request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not (after.isascii() and after.isdigit()):
            raise HTTPException(400, "after: a whole number, 0 or more")
        return Response(self._simulation.counts.latest(int(after)).model_dump_json(), media_type="application/json")

    async def put_fault(self, request: Request) -> Response:
        host = self._host(request)
        fault = Fault.model_validate_json(await request.body())
        if fault.model is not None and fault.model not in host.models:
            known = ", ".join(sorted(host.models)) or "none"
            raise HTTPException(404, f"{host.name} serves no model {fault.model!r}: it serves {known}")
        self._simulation.faults.set(host.name, fault)
        return Response(status_code=204)

    async def delete_faults(self, request: Request) -> Response:
        self._simulation.faults.clear(self._host(request).name)
        return Response(status_code=204)

    async def put_speed(self, request: Request) -> Response:
        host = self._host(request)
        self._simulation.set_speed(host.name, Speed.model_validate_json(await request.body()))
        return Response(status_code=204)

    def _host(self, request: Request) -> SimulatedHost:
        name: str = request.path_params["host"]
        if name not in self._simulation.hosts:
            known = ", ".join(sorted(self._simulation.hosts)) or "none"
            raise HTTPException(404, f"no simulated host is named {name!r}: there are {known}")
        return self._simulation.hosts[name]


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (it handles no other)
    return _problem(error.status_code, error.detail)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationError)  # noqa: S101 (it handles no other)
    return _problem(400, one_line(error))


def _problem(status: int, message: str) -> Response:
    return JSONResponse({"error": {"message": message}}, status)


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
