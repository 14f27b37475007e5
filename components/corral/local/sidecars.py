"""The processes that a run serves hosts with, beside Envoy: the simulated hosts, and the adapter.

A sidecar's socket is opened here and inherited, so that it is the same through any number of deaths: requests that come
in between wait until the process is there again, and nobody else can take the port.  It is told its hosts by a line of
JSON on its standard input, at each start and each change; so their keys are in no file, argument or environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from corral.hosts.adapted import description as adapter
from corral.hosts.adapted.description import AdaptedHost
from corral.local.envoy.upstream import Upstream
from corral.local.errors import EngineError
from corral.local.placement import Address, Desired
from corral.local.supervisor import Child, Program, Supervisor
from corral.simulated import hosts as simulated
from corral.simulated.hosts import SimulatedHost
from corral.simulated.loopback import LOOPBACK, bind

H = TypeVar("H", bound=AdaptedHost | SimulatedHost)

_PASSED_ON = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "TMPDIR", "SYSTEMROOT")
"""What the simulated hosts get of this process's environment: nothing that could hold a real key."""


def with_former(former: Mapping[str, H], new: Iterable[H]) -> dict[str, H]:
    """The new hosts by name, and what only the former ones have, for requests that are on their way."""
    merged = {host.name: host for host in new}
    for name, host in former.items():
        now = merged.get(name)
        merged[name] = now.model_copy(update={"models": {**host.models, **now.models}}) if now else host
    return merged


class Sidecar(Generic[H]):
    """One of them; its process is started when a plan first needs it."""

    def __init__(
        self,
        name: str,
        module: str,
        token_variable: str,
        environment: Mapping[str, str],
        death_notice: str,
        encode: Callable[[Sequence[H]], bytes],
        notify: Callable[[str], None],
    ) -> None:
        self._socket = bind(0)
        self.address = Address(self._socket.getsockname()[1], secrets.token_urlsafe(32))
        self._name = name
        self._encode = encode
        self._hosts: dict[str, H] = {}
        number = self._socket.fileno()
        program = Program(
            name=name,
            command=(sys.executable, "-m", module, "--fd", str(number)),
            ready=lambda child: self._name_hosts(child, self._hosts),
            death_notice=lambda _: death_notice,
            environment={**environment, token_variable: self.address.token},
            inherited=(number,),
            answers=True,
        )
        self._supervisor = Supervisor(program, notify)

    @property
    def started(self) -> bool:
        return self._supervisor.child is not None

    async def serve(self, hosts: Iterable[H], *, keep_former: bool) -> None:
        """Serves these hosts; with `keep_former` also those served so far, for requests that are on their way.

        Raises EngineError.
        """
        new = with_former(self._hosts if keep_former else {}, hosts)
        if new == self._hosts:
            return
        if self._supervisor.child is None:
            await self._start(new)
        else:
            await self._name_hosts(self._supervisor.child, new)
            self._hosts = new

    async def stop(self) -> None:
        """Ends it."""
        await self._supervisor.stop()
        self._socket.close()

    async def _start(self, hosts: dict[str, H]) -> None:
        self._hosts = hosts
        try:
            await self._supervisor.start()
        except BaseException:
            self._hosts = {}
            raise

    async def _name_hosts(self, child: Child, hosts: Mapping[str, H]) -> None:
        """Has the process serve these hosts.  Raises EngineError."""
        error = json.loads(await child.ask(self._encode(tuple(hosts.values()))))["error"]
        if error is not None:
            raise EngineError(f"{self._name} cannot serve {', '.join(hosts)}: {error}.")


class Sidecars:
    """Both, changed together.

    A change that has begun is carried out to its end, and one after the other, even if nobody waits for it any more:
    otherwise it would not be known what they serve.
    """

    def __init__(self, notify: Callable[[str], None]) -> None:
        self._simulated = Sidecar[SimulatedHost](
            name="The process of simulated hosts",
            module="corral.simulated",
            token_variable=simulated.TOKEN_VARIABLE,
            environment={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            death_notice="The simulated hosts died; they are started again.",
            encode=simulated.to_json,
            notify=notify,
        )
        self._adapter = Sidecar[AdaptedHost](
            name="The adapter",
            module="corral.local.adapter",
            token_variable=adapter.TOKEN_VARIABLE,
            environment=os.environ,
            death_notice="The adapter died; it is started again.",
            encode=lambda hosts: adapter.HOSTS.dump_json(tuple(hosts)),
            notify=notify,
        )
        self._changing: asyncio.Task[None] | None = None
        """The last change."""

    @property
    def control(self) -> tuple[str, str] | None:
        """URL and token of the simulated hosts' control endpoints; None: there are none."""
        address = self._simulated.address
        return (address.origin, address.token) if self._simulated.started else None

    def upstreams(self, desired: Desired, proxy_ports: Mapping[str, int]) -> tuple[dict[str, Upstream], dict[str, str]]:
        """How Envoy reaches each host, and per upstream the whole value of the header that carries its key.

        `proxy_ports` are, per host that is reached through a TCP proxy, the proxy's port on loopback.
        """
        upstreams = desired.upstreams(self._simulated.address.port, self._adapter.address)
        for host in upstreams.keys() & proxy_ports.keys():
            url = urlsplit(upstreams[host].url)._replace(netloc=f"{LOOPBACK}:{proxy_ports[host]}")
            upstreams[host] = replace(upstreams[host], url=url.geturl())
        return upstreams, desired.secrets(upstreams, self._adapter.address)

    async def serve(self, desired: Desired, *, keep_former: bool) -> None:
        """Has both ready for it; with `keep_former` also for requests that are on their way.  Raises EngineError."""
        self._changing = asyncio.create_task(self._change(desired, self._changing, keep_former=keep_former))
        await asyncio.shield(self._changing)

    async def settled(self) -> None:
        """Waits until no change is under way."""
        if self._changing:
            await asyncio.gather(self._changing, return_exceptions=True)

    async def stop(self) -> None:
        """Ends both."""
        try:
            await self._adapter.stop()
        finally:
            await self._simulated.stop()

    async def _change(self, desired: Desired, before: asyncio.Task[None] | None, *, keep_former: bool) -> None:
        if before:
            await asyncio.gather(before, return_exceptions=True)
        await self._simulated.serve(desired.simulated, keep_former=keep_former)
        await self._adapter.serve(desired.adapted(self._simulated.address.port), keep_former=keep_former)
