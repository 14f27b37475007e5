"""A door in front of a host: TCP connections pass through it until it is shut; then new ones are refused.

A simulated host shares its port with the others, so it alone cannot refuse connections.  Connections that are open when
the door is shut stay open, so that what is under way is finished.

The copy of a stack that a drill works on: a folder with the file in it, which the drill edits as a person would.

Policy.  Every host is simulated and the environment holds no key, so that no real host can be called.  Times that a
drill would have to sit through are shortened, never prolonged.  Nobody vouches for tenants but the drill, which gives
each of them a key, good for this run alone.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from secrets import token_bytes
from urllib.parse import urlsplit

from corral.local.desired import Desired, Loaded
from corral.local.drill.script import own_tenants
from corral.local.envoy.upstream import Link
from corral.local.placement import Address, Simulate
from corral.local.source import Keys, Source
from corral.plan.credentials import KEY_BYTES, hash_of, key_of
from corral.plan.plan import Limits, Plan
from corral.simulated.loopback import LOOPBACK

_CHUNK = 2**16


class Door:
    """A loopback port of its own, behind which is another one."""

    def __init__(self) -> None:
        self.port = 0
        """Once it was opened."""
        self.behind = 0
        """The port that connections are passed on to."""
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Takes connections, at the same port each time."""
        if self._server is None:
            self._server = await asyncio.start_server(self._enter, LOOPBACK, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def shut(self) -> None:
        """Refuses new connections."""
        if self._server:
            self._server.close()
            self._server = None

    async def end(self) -> None:
        """Refuses new connections and cuts those that are open."""
        self.shut()
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._pass(reader, writer))
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until either side ends."""
        try:
            there, back = await asyncio.open_connection(LOOPBACK, self.behind)
        except OSError:
            writer.close()
            return
        pumps = {asyncio.create_task(_pump(reader, back)), asyncio.create_task(_pump(there, writer))}
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            back.close()
            writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while piece := await source.read(_CHUNK):
        sink.write(piece)
        await sink.drain()


SHORTENED = Limits(connect_timeout=1_000, idle_timeout=3_000, drain_timeout=10_000, ejection_time=1_000, body_limit=0)
"""Milliseconds at most; the body limit stays what it is."""


class TenantKeys(defaultdict[str, str]):
    """A key for any tenant that asks, the same one each time."""

    def __missing__(self, tenant: str) -> str:
        self[tenant] = key_of(token_bytes(KEY_BYTES))
        return self[tenant]


@dataclass(frozen=True)
class BehindDoors(Desired):
    """What the copy asks of this machine; some hosts are reached through a door."""

    doors: Mapping[str, Door] = field(default_factory=dict[str, Door], compare=False, repr=False)

    def links(self, simulated_port: int, adapter: Address) -> dict[str, Link]:
        links = super().links(simulated_port, adapter)
        for host, door in self.doors.items():
            if host in links:
                door.behind = links[host].port
                address = urlsplit(links[host].url)._replace(netloc=f"{LOOPBACK}:{door.port}")
                links[host] = replace(links[host], url=address.geturl())
        return links


@dataclass(frozen=True)
class Copy(Source):
    """The copy as the engine reads it."""

    doors: Mapping[str, Door] = field(default_factory=dict[str, Door])

    def desire(
        self, loaded: Loaded, simulate: Simulate | None, keys: Keys, made_before: Mapping[str, str] | None = None
    ) -> Desired:
        found = super().desire(loaded, simulate, keys, made_before)
        return BehindDoors(**{each.name: getattr(found, each.name) for each in fields(Desired)}, doors=self.doors)

    def save(self, text: str) -> None:
        """Saves the file at once, as an editor does."""
        beside = self.file.with_suffix(".new")
        beside.write_text(text, encoding="utf-8")
        beside.replace(self.file)


def copied(
    file: Path, folder: Path, load: Callable[[Path], Loaded], keys: TenantKeys, doors: Mapping[str, Door]
) -> Copy:
    """Copies a stack file into a folder.  `load` reads, plans and checks a file, as in `Source.load`."""
    (folder / "stacks").mkdir()
    copy = folder / "stacks" / file.name
    copy.write_bytes(file.read_bytes())

    def load_copy() -> Loaded:
        loaded = load(copy)
        own = {"address": LOOPBACK, "port": 0, "page_port": 0}
        return replace(loaded, settings=loaded.settings.model_copy(update=own), plan=rehearsed(loaded.plan, keys))

    return Copy(folder, copy, load_copy, {}, doors)


def rehearsed(plan: Plan, keys: Mapping[str, str]) -> Plan:
    """The plan as the copy has it."""
    limits = replace(
        plan.limits,
        **{
            name: min(getattr(plan.limits, name), getattr(SHORTENED, name))
            for name in ("connect_timeout", "idle_timeout", "drain_timeout", "ejection_time")
        },
    )
    tenants = sorted((*plan.tenants, *own_tenants(plan)), key=lambda tenant: tenant.name)
    known = tuple(replace(tenant, keys=(hash_of(keys[tenant.name]),)) for tenant in tenants)
    return replace(plan, limits=limits, tenants=known, issuers=())
