"""The copy of a stack that a drill works on: a folder with the file in it, which the drill edits as a person would.

Policy.  Every host is simulated and the environment holds no key, so that no real host can be called.  Times that a
drill would have to sit through are shortened, never prolonged.  No issuer vouches for tenants: the drill gives each of
them a key, good for this run alone.

A simulated host shares its port with the others, so it alone cannot refuse connections.  A host that is to do that is
reached through a TCP proxy, which can.  Connections that are open when it begins to refuse stay open, so that what is
under way is finished.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_bytes

from corral.local.drill.script import own_tenants
from corral.local.source import Source
from corral.plan.checks.run import CheckedStack
from corral.plan.credentials import KEY_BYTES, hash_of, key_of
from corral.plan.plan import Plan, RequestSettings
from corral.simulated.loopback import LOOPBACK

_CHUNK_BYTES = 2**16


class TcpProxy:
    """A loopback port of its own, whose connections are passed on to another one."""

    def __init__(self) -> None:
        self.port = 0
        """Its own, once it listened."""
        self.target_port = 0
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        """Takes connections, at the same port each time."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Refuses new connections."""
        if self._server:
            self._server.close()
            self._server = None

    async def close(self) -> None:
        """Refuses new connections and cuts those that are open."""
        self.refuse()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._pass_on(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until either side ends."""
        try:
            target_reader, target_writer = await asyncio.open_connection(LOOPBACK, self.target_port)
        except OSError:
            writer.close()
            return
        pumps = {
            asyncio.create_task(_pump(reader, target_writer)),
            asyncio.create_task(_pump(target_reader, writer)),
        }
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            target_writer.close()
            writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while piece := await source.read(_CHUNK_BYTES):
        sink.write(piece)
        await sink.drain()


_LONGEST = RequestSettings(
    connect_timeout=1_000, idle_timeout=3_000, drain_timeout=10_000, ejection_time=1_000, body_limit=0
)
"""Milliseconds; the body limit stays what it is."""


class TenantKeys(defaultdict[str, str]):
    """A key for any tenant, the same one each time."""

    def __missing__(self, tenant: str) -> str:
        self[tenant] = key_of(token_bytes(KEY_BYTES))
        return self[tenant]


@dataclass
class StackCopy(Source):
    """The copy as the engine reads it."""

    def save(self, text: str) -> None:
        """Saves the file at once, as an editor does."""
        new = self.file.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        new.replace(self.file)


def copy_stack(file: Path, folder: Path, load: Callable[[Path], CheckedStack], keys: TenantKeys) -> StackCopy:
    """Copies a stack file into a folder.  `load` reads, plans and checks a file, as in `Source.load`."""
    (folder / "stacks").mkdir()
    copy = folder / "stacks" / file.name
    copy.write_bytes(file.read_bytes())

    def load_copy() -> CheckedStack:
        stack = load(copy)
        own = {"address": LOOPBACK, "port": 0, "page_port": 0, "certificate": None}
        settings = stack.settings.model_copy(update=own)
        return replace(stack, settings=settings, plan=rehearsal(stack.plan, keys))

    return StackCopy(project=folder, file=copy, load=load_copy, environment={})


def rehearsal(plan: Plan, keys: Mapping[str, str]) -> Plan:
    """The plan as the copy has it."""
    settings = replace(
        plan.request_settings,
        connect_timeout=min(plan.request_settings.connect_timeout, _LONGEST.connect_timeout),
        idle_timeout=min(plan.request_settings.idle_timeout, _LONGEST.idle_timeout),
        drain_timeout=min(plan.request_settings.drain_timeout, _LONGEST.drain_timeout),
        ejection_time=min(plan.request_settings.ejection_time, _LONGEST.ejection_time),
    )
    tenants = sorted((*plan.tenants, *own_tenants(plan)), key=lambda tenant: tenant.name)
    with_keys = tuple(replace(tenant, keys=(hash_of(keys[tenant.name]),)) for tenant in tenants)
    return replace(plan, request_settings=settings, tenants=with_keys, issuers=())
