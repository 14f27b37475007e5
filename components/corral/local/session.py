"""Python's cyclic garbage collector, held back while a plan is made and brought into force.

A plan of a thousand models on ten hosts and its configuration are some million objects, none of them garbage and none
of them in a cycle.  The collector would go through all that exist, again and again, while they come into being: as long
again as the work itself takes.  What is not in a cycle is freed as ever; what is waits until the work is done.

One run of `corral serve`: the engine and the simulated hosts follow the stack file until they are told to end.

A save that does not validate, or whose plan is refused, changes nothing: the error is said, the last good plan
serves on.  A plan that this machine cannot carry out at the moment (its disk is full, Envoy has just died) is tried
again until it is in force.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from corral.config.problems import ConfigError
from corral.local.desired import Desired, refuse_strangers, system_certificates
from corral.local.envoy.clusters import ClusterCache
from corral.local.envoy.configuration import Configuration, Site, render
from corral.local.envoy.names import Files
from corral.local.envoy_process import EnvoyProcess
from corral.local.errors import EngineError
from corral.local.page.server import Listening
from corral.local.placement import Simulate
from corral.local.sidecars import Sidecars
from corral.local.source import Edition, Keys, Source
from corral.local.state_folder import Running, StateFolder
from corral.local.statistics.notices import Notices
from corral.local.statistics.prometheus import Metrics
from corral.local.statistics.readings import Readings
from corral.local.statistics.request_log import Records
from corral.local.statistics.status import ModelStatus, status
from corral.local.statistics.totals import Totals
from corral.plan.checks.run import RefusedError
from corral.plan.plan import Plan
from corral.plan.public_json import to_json


@contextmanager
def held_back() -> Generator[None]:
    """Until the end of the block, or of the outermost one, no garbage is looked for."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


Say = Callable[[str], None]
"""Tells the person at the terminal."""


@dataclass(frozen=True)
class Options:
    """What the command line says over the stack's engine settings; None: the stack's word stands."""

    simulate: Simulate | None = None
    address: str | None = None
    port: int | None = None
    grace: float = 5.0
    """Seconds that requests under way get when the engine is told to end."""
    proxy_ports: Mapping[str, int] = field(default_factory=dict[str, int])
    """Per host that a drill puts a TCP proxy in front of the proxy's port on loopback."""


@dataclass(frozen=True)
class Place:
    """Where the engine serves."""

    address: str
    port: int
    files: Files
    page: Listening

    @property
    def url(self) -> str:
        """What a client's base URL is."""
        address = "127.0.0.1" if self.address == "0.0.0.0" else self.address  # noqa: S104 (compared, not bound)
        return f"http://{f'[{address}]' if ':' in address else address}:{self.port}/v1"


class Session:
    """A stack that is being served."""

    def __init__(
        self,
        source: Source,
        options: Options,
        place: Place,
        envoy: EnvoyProcess,
        sidecars: Sidecars,
        records: Records,
        first: Edition,
        say: Say,
    ) -> None:
        self._source = source
        self._options = options
        self._place = place
        self._envoy = envoy
        self._sidecars = sidecars
        self._records = records
        self._folder = StateFolder.of(source.project, first.stack.plan.stack)
        self.totals = Totals(envoy.admin, lambda: envoy.pid)
        """What Envoy has counted."""
        self._metrics = Metrics(self.totals)
        self._say = say
        self._keys = Keys()
        self._cache = ClusterCache()
        self._notices = Notices(say)
        self._text = first.text
        self.desired = source.desire(first.stack, options.simulate, self._keys)
        """What is in force, once `start` has returned."""
        self._first = self.desired
        self._settled = True
        """Whether what is in force is all that is written; False while a plan is tried again."""
        self._complaint = ""
        self._baseline = Readings()
        """What had been counted when the plan in force came into force."""
        self._tidying: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """What a client's base URL is."""
        return self._place.url

    @property
    def page(self) -> Listening:
        """Where the live page is."""
        return self._place.page

    @property
    def plan(self) -> Plan:
        """What is in force."""
        return self.desired.plan

    @property
    def control(self) -> tuple[str, str] | None:
        """URL and token of the simulated hosts' control endpoints; None: there are none."""
        return self._sidecars.control

    @property
    def simulated(self) -> Mapping[str, str | None]:
        """Per host why it is simulated; None: it is the real one."""
        return self.desired.why_simulated()

    def host_port(self, host: str) -> int:
        """The port at which a host is reached without a proxy in between."""
        upstreams, _ = self._sidecars.upstreams(self.desired, {})
        return upstreams[host].port

    @property
    def generated_keys(self) -> Path:
        """Where the tenants' keys lie that this run has generated."""
        return self._folder.generated_keys

    async def start(self) -> None:
        """Starts everything and waits until it serves.  Raises EngineError."""
        refuse_strangers(self.plan, self._place.address)
        await self._sidecars.serve(self.desired, keep_former=False)
        await self._envoy.start(*self._rendered(self.desired), _drain_time(self.desired))
        self._in_force(self.desired, Readings())

    async def reload(self) -> bool:
        """Brings the stack file into force.  False, and said why, if it cannot be: the last good plan serves on."""
        text = self._source.text()
        again, self._text = text == self._text, text
        try:
            desired = self._source.desire(
                self._source.load(), self._options.simulate, self._keys, self.desired.callers.made
            )
            refuse_strangers(desired.plan, self._place.address)
            if desired == self.desired and self._settled:
                return True
            self._settled = False
            await self._stop_tidying()
            await self._sidecars.serve(desired, keep_former=True)
            before = await self._metrics.collect(self.plan)
            await self._envoy.apply(*self._rendered(desired), _drain_time(desired))
            self._in_force(desired, before)
        except (ConfigError, RefusedError) as reason:
            self._complain(f"{reason}\nNothing was changed; the last good plan serves on.", again=again)
            return False
        except EngineError as reason:
            self._settled = False
            self._complain(
                f"{reason}\nThe last good plan serves on; the new one is tried again until it is in force.", again=again
            )
            return False
        self._settled = True
        self._tell_what_waits(desired)
        self._tidying = asyncio.create_task(self._tidy(desired))
        return True

    async def follow(self, moved: Callable[[Plan, Plan], None]) -> None:
        """Follows the stack file; calls `moved` with the plans before and after.  Raises EngineError: Envoy is lost."""
        lost = asyncio.create_task(self._envoy.failed())
        watch = asyncio.create_task(self._follow_file(moved))
        try:
            done, _ = await asyncio.wait({lost, watch}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (lost, watch):
                task.cancel()
            await asyncio.gather(lost, watch, return_exceptions=True)

    async def _follow_file(self, moved: Callable[[Plan, Plan], None]) -> None:
        async for _ in self._source.looks():
            text = self._source.text()
            if text is None or (text == self._text and self._settled):
                continue
            before = self.desired.plan
            with held_back():
                followed = await self.reload()
            if followed and self.desired.plan != before:
                moved(before, self.desired.plan)

    async def status(self) -> tuple[ModelStatus, ...]:
        """Declared beside observed since the plan in force came into force.  Raises EngineError."""
        since = (await self.poll()).since(self._baseline)
        return status(self.plan, since, self.simulated)

    async def poll(self) -> Readings:
        """What Envoy has counted; says what an operator must hear of it at once.  Raises EngineError."""
        readings = await self.totals.poll()
        self._notices.check(readings, self.plan)
        return readings

    async def metrics(self, accept: str = "") -> tuple[bytes, str]:
        """The body and content type for Prometheus; `accept` is the header of its request.  Raises EngineError."""
        return await self._metrics.expose(self.plan, accept)

    async def status_json(self, _accept: str = "") -> tuple[bytes, str]:
        """`status` as JSON, and its content type.  Raises EngineError."""
        return json.dumps(to_json(await self.status())).encode(), "application/json"

    async def stop(self) -> None:
        """Ends what the session does beside serving."""
        await self._stop_tidying()
        await self._sidecars.settled()

    def _rendered(self, desired: Desired) -> tuple[Configuration, dict[str, str]]:
        """The configuration, and the secrets it names."""
        upstreams, secrets = self._sidecars.upstreams(desired, self._options.proxy_ports)
        place, log = self._place, self._records.log
        site = Site(place.address, place.port, place.files, log, desired.public_keys(), system_certificates())
        return render(desired.plan, upstreams, desired.callers.hashes, site, self._cache), secrets

    def _tell_what_waits(self, desired: Desired) -> None:
        now, then = desired.stack.settings, self._first.stack.settings
        if (now.address, now.port, now.page_port) != (then.address, then.port, then.page_port):
            self._say("corral:engine.address and ports are those of the start; end corral serve and start it again.")

    def _complain(self, complaint: str, *, again: bool) -> None:
        """Says it; on another try of the same file only what is new."""
        if not (again and complaint == self._complaint):
            self._say(complaint)
        self._complaint = complaint

    def _in_force(self, desired: Desired, baseline: Readings) -> None:
        control = self._sidecars.control
        running = Running(
            pid=os.getpid(),
            started=psutil.Process().create_time(),
            url=self.url,
            page_url=self.page.url,
            admin_socket=str(self._place.files.admin_socket),
            plan=desired.plan,
            simulated=desired.why_simulated(),
            control_url=control[0] if control else None,
            control_token=control[1] if control else None,
            since=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        self._folder.write_running(running)
        self._folder.write_generated_keys(desired.callers.made)
        self._records.in_force(
            desired.plan, desired.why_simulated(), timedelta(days=desired.stack.settings.retention_days)
        )
        self.desired, self._baseline = desired, baseline
        self._notices.in_force(baseline)

    async def _tidy(self, desired: Desired) -> None:
        try:
            await self._envoy.drained()
            await self._sidecars.serve(desired, keep_former=False)
        except EngineError as reason:
            self._say(f"{reason}\nWhat the former plan needed stays until the next change.")

    async def _stop_tidying(self) -> None:
        if self._tidying:
            self._tidying.cancel()
            await asyncio.gather(self._tidying, return_exceptions=True)


def _drain_time(desired: Desired) -> float:
    return desired.plan.limits.drain_timeout / 1000
