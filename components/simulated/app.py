"""The ASGI app of the simulated hosts' process: the hosts, and their control endpoints beside them."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from components.simulated.control_app import control_app
from components.simulated.described import CONTROL
from components.simulated.simulation import Simulation
from components.simulated.wire import Wire


def simulated_app(simulation: Simulation, token: str) -> ASGIApp:
    """The app for `simulation`; its control endpoints want `token`."""
    wire, control = Wire(simulation), control_app(simulation, token)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        await (control if path == CONTROL or path.startswith(f"{CONTROL}/") else wire)(scope, receive, send)

    return app
