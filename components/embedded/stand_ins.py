"""The simulated hosts of a running engine: one child process, kept alive, changed while it runs."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from components.embedded.errors import EngineError
from components.simulated.child import Child, ChildError
from components.simulated.control import ControlError
from components.simulated.hosts import SimulatedHost

_POLL = 0.2


class Keys(defaultdict[str, str]):
    """A key for any host that asks, the same one each time, good for the simulated host only."""

    def __missing__(self, host: str) -> str:
        self[host] = f"simulated-{secrets.token_urlsafe(24)}"
        return self[host]


def _merged(former: SimulatedHost, new: SimulatedHost) -> SimulatedHost:
    return new.model_copy(update={"models": {**former.models, **new.models}})


class StandIns:
    """The process of simulated hosts; started when a plan first needs one."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._folder = tempfile.TemporaryDirectory(prefix="corral-simulated-")
        self._child: Child | None = None
        self._hosts: dict[str, SimulatedHost] = {}
        self._watch: asyncio.Task[None] | None = None

    @property
    def port(self) -> int | None:
        """The loopback port they share; None while none is needed."""
        return self._child.port if self._child else None

    @property
    def control(self) -> tuple[str, str] | None:
        """URL and token of their control endpoints."""
        return (f"http://127.0.0.1:{self._child.port}", self._child.token) if self._child else None

    async def serve(self, hosts: Iterable[SimulatedHost], *, keep_former: bool) -> None:
        """Serves these hosts; with `keep_former` also those served so far, for requests that are on their way."""
        new = {host.name: host for host in hosts}
        if keep_former:
            new = {
                **self._hosts,
                **{
                    name: _merged(self._hosts[name], host) if name in self._hosts else host
                    for name, host in new.items()
                },
            }
        if not new and self._child is None:
            return
        if self._child is None:
            self._child = await self._start(new)
            self._watch = asyncio.create_task(self._keep_alive())
        elif new != self._hosts:
            try:
                await asyncio.to_thread(self._child.control.replace_hosts, list(new.values()))
            except ControlError as reason:
                raise EngineError(f"{reason}.") from None
        self._hosts = new

    async def _start(self, hosts: dict[str, SimulatedHost], former: Child | None = None) -> Child:
        """Starts them; in the place of a former child at its port and with its token, which others know already."""
        port, token = (former.port, former.token) if former else (0, None)
        folder = Path(self._folder.name)
        try:
            return await asyncio.to_thread(Child.start, list(hosts.values()), folder, port=port, token=token)
        except ChildError as reason:
            raise EngineError(f"{str(reason)[:1].upper()}{str(reason)[1:]}.") from None

    async def _keep_alive(self) -> None:
        while self._child:
            if self._child.process.poll() is not None:
                self._say("The simulated hosts died; they are started again.")
                self._child.stop()
                try:
                    self._child = await self._start(self._hosts, self._child)
                except EngineError as reason:
                    self._say(str(reason))
            await asyncio.sleep(_POLL)

    async def stop(self) -> None:
        """Ends them."""
        if self._watch:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self._child:
            await asyncio.to_thread(self._child.stop)
        self._folder.cleanup()
