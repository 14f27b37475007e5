"""The control endpoints: replacing the hosts, setting faults and speeds at run time, and asking for the state.

    GET    /_control                    the state, see `state`
    GET    /_control/latest?after=N     the requests that finished after the first N, see `state.Latest`
    PUT    /_control/hosts              the hosts, as in the file
    PUT    /_control/faults/<host>      a fault, see `faults.Fault`
    DELETE /_control/faults/<host>      ends all faults of the host
    PUT    /_control/speed/<host>       a speed, see `hosts.Speed`

All want `Authorization: Bearer` with the token that the process was started with.
"""

from __future__ import annotations

import hmac

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from corral.simulated.faults import Fault
from corral.simulated.hosts import CONTROL, HostsError, Speed, from_json, said
from corral.simulated.simulation import Simulation


def control_app(simulation: Simulation, token: str) -> ASGIApp:
    """The ASGI app of the control endpoints."""
    control = _Control(simulation)
    routes = [
        Route(CONTROL, control.state, methods=["GET"]),
        Route(f"{CONTROL}/latest", control.latest, methods=["GET"]),
        Route(f"{CONTROL}/hosts", control.put_hosts, methods=["PUT"]),
        Route(f"{CONTROL}/faults/{{host}}", control.put_fault, methods=["PUT"]),
        Route(f"{CONTROL}/faults/{{host}}", control.delete_faults, methods=["DELETE"]),
        Route(f"{CONTROL}/speed/{{host}}", control.put_speed, methods=["PUT"]),
    ]
    return _Locked(Starlette(routes=routes), token)


class _Locked:
    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._wanted = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given: bytes = dict(scope["headers"]).get(b"authorization", b"")
        app = (
            self._app
            if hmac.compare_digest(given, self._wanted)
            else _problem(401, "the control token is missing or wrong")
        )
        await app(scope, receive, send)


class _Control:
    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    async def state(self, _: Request) -> Response:
        return Response(self._simulation.state().model_dump_json(), media_type="application/json")

    async def latest(self, request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not (after.isascii() and after.isdigit()):
            return _problem(400, "after: a whole number, 0 or more")
        return Response(self._simulation.counts.latest(int(after)).model_dump_json(), media_type="application/json")

    async def put_hosts(self, request: Request) -> Response:
        try:
            self._simulation.replace(from_json(await request.body()))
        except HostsError as error:
            return _problem(400, str(error))
        return Response(status_code=204)

    async def put_fault(self, request: Request) -> Response:
        name = request.path_params["host"]
        if name not in self._simulation.hosts:
            return self._no_host(name)
        try:
            fault = Fault.model_validate_json(await request.body())
        except ValidationError as error:
            return _problem(400, said(error))
        models = self._simulation.hosts[name].models
        if fault.model is not None and fault.model not in models:
            return _problem(
                404, f"{name} serves no model {fault.model!r}: it serves {', '.join(sorted(models)) or 'none'}"
            )
        self._simulation.faults.set(name, fault)
        return Response(status_code=204)

    async def delete_faults(self, request: Request) -> Response:
        name = request.path_params["host"]
        if name not in self._simulation.hosts:
            return self._no_host(name)
        self._simulation.faults.clear(name)
        return Response(status_code=204)

    async def put_speed(self, request: Request) -> Response:
        name = request.path_params["host"]
        if name not in self._simulation.hosts:
            return self._no_host(name)
        try:
            self._simulation.set_speed(name, Speed.model_validate_json(await request.body()))
        except ValidationError as error:
            return _problem(400, said(error))
        return Response(status_code=204)

    def _no_host(self, name: str) -> Response:
        known = ", ".join(sorted(self._simulation.hosts)) or "none"
        return _problem(404, f"no simulated host is named {name!r}: there are {known}")


def _problem(status: int, message: str) -> Response:
    return JSONResponse({"error": {"message": message}}, status)
