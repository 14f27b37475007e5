"""A real host: an OpenAI-compatible server behind TLS, as somebody's LLM server would be."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from corral.catalog.catalog import Takes
from corral.simulated.hosts import SimulatedHost
from corral.simulated.loopback import bind
from corral.simulated.server import simulated_app
from corral.simulated.simulation import Simulation
from tests.local.gateway import until


@dataclass
class RealHost:
    """An OpenAI-compatible server behind TLS, and what it was asked."""

    port: int
    folder: Path
    """Its certificate's authority is in `ca.pem` in there."""
    names: list[str | None] = field(default_factory=list)
    """The server names of the TLS handshakes."""
    requests: list[dict[str, str]] = field(default_factory=list)
    """The headers of the requests."""

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/lab/v1"

    @property
    def ca(self) -> str:
        return str(self.folder / "ca.pem")


@contextmanager
def real_host(folder: Path, key: str | None, name: str = "localhost") -> Iterator[RealHost]:
    """Serves `Lab-M`, to whoever shows the key; its certificate is for `name`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    header = "authorization" if key else None
    lab = SimulatedHost(name="lab", path="/v1", header=header, key=key, models={"Lab-M": Takes()})
    app = simulated_app(Simulation([lab]), "unused")
    listening = bind(0)
    host = RealHost(listening.getsockname()[1], folder)
    config = uvicorn.Config(
        _recorded(app, host), ssl_certfile=folder / "server.pem", lifespan="off", log_config=None, access_log=False
    )
    config.load()
    assert config.ssl
    config.ssl.sni_callback = lambda _, name, __: host.names.append(name)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        until(lambda: server.started, "the real host serves")
        yield host
    finally:
        server.should_exit = True
        thread.join()


def _recorded(app: ASGIApp, host: RealHost) -> ASGIApp:
    async def recorder(scope: Scope, receive: Receive, send: Send) -> None:
        host.requests.append({name.decode(): value.decode() for name, value in scope["headers"]})
        await app(scope, receive, send)

    return recorder
