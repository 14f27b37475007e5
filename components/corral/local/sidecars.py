"""The adapter of a running engine: one child process, kept alive, changed while it runs.

Its socket is opened here and inherited, so that it is the same through any number of deaths: requests that come in
between wait until the process is there again, and nobody else can take the port.

The simulated hosts of a running engine: one child process, kept alive, changed while it runs.

What a running engine has served beside Envoy: the simulated hosts, and the hosts behind the adapter.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from corral.local.adapter.hosts import HOSTS, TOKEN_VARIABLE, AdaptedHost
from corral.local.desired import Desired
from corral.local.envoy.upstream import Link
from corral.local.errors import EngineError
from corral.local.placement import Address, with_former
from corral.local.processes import Child
from corral.simulated.child import SimulatedProcess, SimulatedProcessError
from corral.simulated.control import ControlError
from corral.simulated.hosts import SimulatedHost
from corral.simulated.loopback import LOOPBACK

_PATIENCE = 30.0
"""Seconds until it must have taken its hosts: of which it reads boto3's files, and AWS's."""
_LONGEST_PAUSE = 5.0
"""Seconds between two starts in a row; the first comes at once."""


class Adapter:
    """The process; started when a plan first needs one."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._socket = socket.create_server((LOOPBACK, 0), backlog=2048)
        self.address = Address(self._socket.getsockname()[1], secrets.token_urlsafe(32))
        self._child: Child | None = None
        self._hosts: dict[str, AdaptedHost] = {}
        self._life: asyncio.Task[None] | None = None

    async def serve(self, hosts: Sequence[AdaptedHost], *, keep_former: bool) -> None:
        """Serves these hosts; with `keep_former` also those served so far, for requests that are on their way.

        Raises EngineError.
        """
        new = with_former(self._hosts if keep_former else {}, hosts)
        if new == self._hosts:
            return
        if self._child is None:
            self._child = await self._start(new)
            self._life = asyncio.create_task(self._keep_alive())
        else:
            await _tell(self._child, new)
        self._hosts = new

    async def stop(self) -> None:
        """Ends it."""
        if self._life:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
        if self._child:
            await self._child.stop()
        self._socket.close()

    async def _start(self, hosts: dict[str, AdaptedHost]) -> Child:
        number = self._socket.fileno()
        child = await Child.start(
            "The adapter",
            (sys.executable, "-m", "corral.local.adapter", "--fd", str(number)),
            {**os.environ, TOKEN_VARIABLE: self.address.token},
            inherited=(number,),
            answers=True,
        )
        try:
            await _tell(child, hosts)
        except BaseException:
            await child.stop()
            raise
        return child

    async def _keep_alive(self) -> None:
        pause = 0.0
        while self._child:
            await self._child.ended()
            self._say("The adapter died; it is started again.")
            await asyncio.sleep(pause)
            try:
                self._child = await self._start(self._hosts)
                pause = 0.0
            except EngineError as reason:
                self._say(str(reason))
                pause = min(_LONGEST_PAUSE, 2 * pause or 0.2)


async def _tell(child: Child, hosts: dict[str, AdaptedHost]) -> None:
    """Has the process serve these hosts.  Raises EngineError."""
    try:
        async with asyncio.timeout(_PATIENCE):
            answer = await child.ask(HOSTS.dump_json(tuple(hosts.values())))
    except TimeoutError:
        raise EngineError(f"The adapter does not answer within {_PATIENCE:.0f} s.") from None
    error = json.loads(answer)["error"]
    if error is not None:
        raise EngineError(f"The adapter cannot serve {', '.join(hosts)}: {error}.")


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
        self._child: SimulatedProcess | None = None
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

    async def _start(self, hosts: dict[str, SimulatedHost], former: SimulatedProcess | None = None) -> SimulatedProcess:
        """Starts them; in the place of a former child at its port and with its token, which others know already."""
        port, token = (former.port, former.token) if former else (0, None)
        folder = Path(self._folder.name)
        try:
            return await asyncio.to_thread(SimulatedProcess.start, list(hosts.values()), folder, port=port, token=token)
        except SimulatedProcessError as reason:
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


class Beside:
    """Both, changed together.

    What was begun is finished, and in order, also where nobody waits for it any more: what is served there would not be
    known otherwise.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._stand_ins = StandIns(say)
        self._adapter = Adapter(say)
        self._changing: asyncio.Task[None] | None = None
        """The last change."""

    @property
    def control(self) -> tuple[str, str] | None:
        """URL and token of the simulated hosts' control endpoints; None: there are none."""
        return self._stand_ins.control

    def reached(self, desired: Desired) -> tuple[dict[str, Link], dict[str, str]]:
        """How Envoy reaches each host, and per link the whole value of the header that carries its key."""
        links = desired.links(self._stand_ins.port, self._adapter.address)
        return links, desired.secrets(links, self._adapter.address)

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
            await self._stand_ins.stop()

    async def _change(self, desired: Desired, before: asyncio.Task[None] | None, *, keep_former: bool) -> None:
        if before:
            await asyncio.gather(before, return_exceptions=True)
        await self._stand_ins.serve(desired.simulated, keep_former=keep_former)
        await self._adapter.serve(desired.adapted(self._stand_ins.port), keep_former=keep_former)
