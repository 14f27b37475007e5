"""The copy of a stack that a drill works on: a folder with the file in it, which the drill edits as a person would.

Policy.  Every host is simulated and the environment holds no key, so that no real host can be called.  Times that a
drill would have to sit through are shortened, never prolonged.  Nobody vouches for tenants but the drill, which gives
each of them a key, good for this run alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from urllib.parse import urlsplit

from components.drill.door import Door
from components.drill.limits import own_tenants
from components.embedded.adapter import Address
from components.embedded.desired import Desired, Loaded
from components.embedded.placement import Simulate
from components.embedded.source import Source
from components.embedded.stand_ins import Keys
from components.loopback.listening import LOOPBACK
from components.plan.plan import Limits, Plan
from components.render.envoy.link import Link
from components.tenants.keys import hash_of, new_key

SHORTENED = Limits(connect_timeout=1_000, idle_timeout=3_000, drain_timeout=10_000, ejection=1_000, body_limit=0)
"""Milliseconds at most; the body limit stays what it is."""


class TenantKeys(defaultdict[str, str]):
    """A key for any tenant that asks, the same one each time."""

    def __missing__(self, tenant: str) -> str:
        self[tenant] = new_key()
        return self[tenant]


@dataclass(frozen=True)
class BehindDoors(Desired):
    """What the copy asks of this machine; some hosts are reached through a door."""

    doors: Mapping[str, Door] = field(default_factory=dict[str, Door], compare=False, repr=False)

    def links(self, simulated_port: int | None, adapter: Address) -> dict[str, Link]:
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
            for name in ("connect_timeout", "idle_timeout", "drain_timeout", "ejection")
        },
    )
    tenants = sorted((*plan.tenants, *own_tenants(plan)), key=lambda tenant: tenant.name)
    known = tuple(replace(tenant, keys=(hash_of(keys[tenant.name]),)) for tenant in tenants)
    return replace(plan, limits=limits, tenants=known, issuers=())
