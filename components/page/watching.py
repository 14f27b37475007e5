"""Looks at the running engine each second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Protocol

from components.embedded.admin import Admin
from components.embedded.errors import EngineError
from components.embedded.readings import left_out, read_counters, read_times, read_under_way
from components.page.feed import Feed
from components.page.look import Look
from components.page.watch import Watch
from components.plan.plan import Plan
from components.simulated.control import ControlError, SimulatedControl

_SECOND = 1.0
_TIMES_EACH = 5
"""Envoy brings its histograms up to date each five seconds."""


class Served(Protocol):
    """A stack that is being served, as far as a page must know it."""

    @property
    def plan(self) -> Plan:
        """What is in force."""
        ...

    @property
    def admin(self) -> Admin: ...

    @property
    def control(self) -> tuple[str, str] | None:
        """URL and token of the simulated hosts' control endpoints; None: there are none."""
        ...

    @property
    def simulated(self) -> Mapping[str, str | None]:
        """Per host why it is simulated; None: it is the real one."""
        ...


async def keep_watching(served: Served, watch: Watch, feed: Feed) -> None:
    """Shows `watch` what is served, each second, and lets `feed` tell it; until it is cancelled."""
    faults = _Faults()
    number = 0
    try:
        while True:
            began = time.monotonic()
            try:
                watch.see(await _look(served, faults, with_times=number % _TIMES_EACH == 0))
                number += 1
            except EngineError as problem:
                watch.lose(str(problem), _now())
            feed.publish()
            await asyncio.sleep(max(0.0, began + _SECOND - time.monotonic()))
    finally:
        faults.close()


async def _look(served: Served, faults: _Faults, *, with_times: bool) -> Look:
    plan, admin = served.plan, served.admin
    counters = await read_counters(admin)
    at, now = time.monotonic(), _now()
    return Look(
        at=at,
        time=now,
        plan=plan,
        counters=counters,
        times=await read_times(admin) if with_times else None,
        out=frozenset(await left_out(admin)),
        faults=await faults.read(served.control),
        simulated=served.simulated,
        under_way=await read_under_way(admin) if any(tenant.concurrent for tenant in plan.tenants) else {},
    )


def _now() -> int:
    return time.time_ns() // 1_000_000


class _Faults:
    """Which simulated hosts were made to fail, per host the kind of fault; as it was where they do not answer."""

    def __init__(self) -> None:
        self._where: tuple[str, str] | None = None
        self._control: SimulatedControl | None = None
        self._known: dict[str, str] = {}

    async def read(self, where: tuple[str, str] | None) -> dict[str, str]:
        if where != self._where:
            self.close()
            self._where, self._control = where, SimulatedControl(*where) if where else None
        if self._control is None:
            return {}
        try:
            state = await asyncio.to_thread(self._control.state)
        except ControlError:
            return self._known
        self._known = {
            name: ", ".join(f"{fault.kind}{f' of {fault.model}' if fault.model else ''}" for fault in host.faults)
            for name, host in state.hosts.items()
            if host.faults
        }
        return self._known

    def close(self) -> None:
        if self._control:
            self._control.close()
