"""The hosts of a drill on a cluster, in a pod: the program `python -m corral.local.drill.pod`.

Every simulated host has a port of its own, by which the gateway's Service of that name reaches it, at the path of the
real host.  Their control endpoints are on loopback, for the load (`pod_load`), which runs in the same container: so
that both have one clock.  An answer says, in the headers that the local engine uses, which host gave it and how often
the gateway has tried; a gateway on a cluster tells a client neither.  Attempts are counted by `x-request-id`, which
Envoy gives a request once and not to each attempt.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from corral.local.envoy.names import ATTEMPTS_HEADER, HOST_HEADER
from corral.simulated.hosts import TOKEN_VARIABLE, SimulatedHost, from_json
from corral.simulated.loopback import KEEP_ALIVE_SECONDS, LOOPBACK, bind, settings
from corral.simulated.server import ResettableProtocol, simulated_app
from corral.simulated.simulation import Simulation

CONTROL_PORT = 8000
CONTROL_URL = f"http://{LOOPBACK}:{CONTROL_PORT}"
"""Of the control endpoints, within the pod."""

HOSTS_FILE = Path("/etc/corral/hosts.json")
"""The description of the hosts, with their keys."""

_EVERYWHERE = "0.0.0.0"  # noqa: S104 (the pod's own addresses)


def ports(hosts: Iterable[str]) -> MappingProxyType[str, int]:
    """The port of each host."""
    return MappingProxyType({host: CONTROL_PORT + place for place, host in enumerate(sorted(set(hosts)), 1)})


class _Server(uvicorn.Server):
    """One of several in this process, which alone handles signals."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class HostApp:
    """The ASGI app of one host, at the paths of the real one."""

    def __init__(self, app: ASGIApp, host: str, attempts: Counter[bytes]) -> None:
        """`app` serves all hosts; `attempts` counts those at all of them, by request id."""
        self._app, self._host, self._attempts = app, host, attempts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = dict(scope["headers"]).get(b"x-request-id", b"")
        self._attempts[request] += 1
        attempt = self._attempts[request] if request else 1
        headers = [(HOST_HEADER.encode(), self._host.encode()), (ATTEMPTS_HEADER.encode(), str(attempt).encode())]

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *headers]}
            await send(message)

        path, raw = scope["path"], scope["raw_path"]
        within = {**scope, "path": f"/{self._host}{path}", "raw_path": f"/{self._host}".encode() + raw}
        await self._app(within, receive, answer)


async def serve(hosts: Iterable[SimulatedHost], token: str, control_port: int = CONTROL_PORT) -> None:
    """Serves the hosts on their ports until it is cancelled."""
    simulation, attempts = Simulation(hosts), Counter[bytes]()
    app = simulated_app(simulation, token)
    sockets = {bind(control_port): app}
    for host, port in ports(simulation.hosts).items():
        listening = bind(port - CONTROL_PORT + control_port, _EVERYWHERE)
        sockets[listening] = HostApp(app, host, attempts)
    more = {"http": ResettableProtocol, "log_level": "warning", "timeout_keep_alive": KEEP_ALIVE_SECONDS}
    try:
        await asyncio.gather(*(_Server(settings(app, **more)).serve([listening]) for listening, app in sockets.items()))
    finally:
        for listening in sockets:
            listening.close()


def _exit(*_: object) -> None:
    sys.exit(0)


def main() -> None:
    """Serves the hosts of the file until a signal."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)
    asyncio.run(serve(from_json(HOSTS_FILE.read_bytes()), os.environ[TOKEN_VARIABLE]))


if __name__ == "__main__":
    main()
