"""One run of `corral up`: the engine and the simulated hosts follow the stack file until they are told to end.

A save that does not validate, or whose plan is refused, changes nothing: the error is said, the last good plan
serves on.  A plan that this machine cannot carry out at the moment (its disk is full, Envoy has just died) is tried
again until it is in force.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from components.config.errors import ConfigError
from components.embedded import made_keys, registry
from components.embedded.admin import Admin
from components.embedded.beside import Beside
from components.embedded.callers import refuse_strangers
from components.embedded.collector import held_back
from components.embedded.desired import Desired, system_certificates
from components.embedded.engine import Engine
from components.embedded.errors import EngineError
from components.embedded.metrics import Metrics
from components.embedded.notices import Notices
from components.embedded.placement import Simulate
from components.embedded.readings import left_out
from components.embedded.records import Records
from components.embedded.source import Edition, RefusedError, Source
from components.embedded.stand_ins import Keys
from components.embedded.status import NOTHING, Counts, ModelStatus, count, status
from components.page.server import Listening
from components.plan.plan import Plan
from components.render.envoy.configuration import Configuration, Site, render
from components.render.envoy.link import Link
from components.render.envoy.model_texts import ModelTexts
from components.render.envoy.names import Files
from components.usage.prices import tariff

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
        engine: Engine,
        beside: Beside,
        records: Records,
        first: Edition,
        say: Say,
    ) -> None:
        self._source = source
        self._options = options
        self._place = place
        self._engine = engine
        self._beside = beside
        self._records = records
        self._metrics = Metrics(engine.admin, lambda: engine.life)
        self._say = say
        self._keys = Keys()
        self._texts = ModelTexts()
        self._notices = Notices(say)
        self._text = first.text
        self.desired = source.desire(first.loaded, options.simulate, self._keys)
        """What is in force, once `start` has returned."""
        self._first = self.desired
        self._settled = True
        """Whether what is in force is all that is written; False while a plan is tried again."""
        self._complaint = ""
        self._baseline = NOTHING
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
    def admin(self) -> Admin:
        return self._engine.admin

    @property
    def control(self) -> tuple[str, str] | None:
        """URL and token of the simulated hosts' control endpoints; None: there are none."""
        return self._beside.control

    @property
    def simulated(self) -> Mapping[str, str | None]:
        """Per host why it is simulated; None: it is the real one."""
        return self.desired.why_simulated()

    def reached(self) -> tuple[dict[str, Link], dict[str, str]]:
        """How Envoy reaches each host, and per link the whole value of the header that carries its key."""
        return self._beside.reached(self.desired)

    @property
    def made_keys(self) -> Path:
        """Where the tenants' keys lie that this run has made."""
        return made_keys.path(self._source.project, self.plan.stack)

    async def start(self) -> None:
        """Starts everything and waits until it serves.  Raises EngineError."""
        refuse_strangers(self.plan, self._place.address)
        await self._beside.serve(self.desired, keep_former=False)
        await self._engine.start(*self._rendered(self.desired), _drain_time(self.desired))
        self._in_force(self.desired, NOTHING)

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
            await self._beside.serve(desired, keep_former=True)
            if tariff(desired.plan) != tariff(self.plan):
                await self._metrics.look(self.plan)
            before = await count(self._engine.admin)
            await self._engine.apply(*self._rendered(desired), _drain_time(desired))
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
        lost = asyncio.create_task(self._engine.failed())
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
        counts, unhealthy = await self.notice()
        return status(self.desired.plan, counts, unhealthy, self.desired.why_simulated())

    async def notice(self) -> tuple[Counts, set[tuple[str, str]]]:
        """Says what an operator must hear at once; what was counted since the plan in force came into force, and the
        members left out (pairs of cluster and host).  Raises EngineError."""
        counts = (await count(self._engine.admin)).since(self._baseline)
        unhealthy = await left_out(self._engine.admin)
        self._notices.look(counts, unhealthy, self.desired.plan)
        return counts, unhealthy

    async def metrics(self, accept: str = "") -> tuple[bytes, str]:
        """The body and content type for Prometheus; `accept` is the header of its request.  Raises EngineError."""
        return await self._metrics.metrics(self.plan, accept)

    async def stop(self) -> None:
        """Ends what the session does beside serving."""
        await self._stop_tidying()
        await self._beside.settled()

    def _rendered(self, desired: Desired) -> tuple[Configuration, dict[str, str]]:
        """The configuration, and the secrets it names."""
        links, secrets = self._beside.reached(desired)
        place, log = self._place, self._records.log
        site = Site(place.address, place.port, place.files, log, desired.public_keys(), system_certificates())
        return render(desired.plan, links, desired.callers.hashes, site, self._texts), secrets

    def _tell_what_waits(self, desired: Desired) -> None:
        now, then = desired.loaded.settings, self._first.loaded.settings
        if (now.address, now.port, now.page_port) != (then.address, then.port, then.page_port):
            self._say("corral:engine.address and ports are those of the start; end corral up and start it again.")

    def _complain(self, complaint: str, *, again: bool) -> None:
        """Says it; on another try of the same file only what is new."""
        if not (again and complaint == self._complaint):
            self._say(complaint)
        self._complaint = complaint

    def _in_force(self, desired: Desired, baseline: Counts) -> None:
        control = self._beside.control
        registry.write(
            self._source.project,
            desired.plan.stack,
            registry.Running(
                pid=os.getpid(),
                started=psutil.Process().create_time(),
                url=self.url,
                page_url=self.page.url,
                admin_socket=str(self._place.files.admin_socket),
                plan=desired.plan,
                simulated=desired.why_simulated(),
                control_url=control[0] if control else None,
                control_token=control[1] if control else None,
                requests=[(*series, number) for series, number in baseline.requests.items()],
                attempts=[(*series, number) for series, number in baseline.attempts.items()],
                since=datetime.now(UTC).isoformat(timespec="milliseconds"),
            ),
        )
        made_keys.write(self._source.project, desired.plan.stack, desired.callers.made)
        self._records.in_force(
            desired.plan, desired.why_simulated(), timedelta(days=desired.loaded.settings.keep_requests)
        )
        self.desired, self._baseline = desired, baseline
        self._notices.forget()

    async def _tidy(self, desired: Desired) -> None:
        try:
            await self._engine.drained()
            await self._beside.serve(desired, keep_former=False)
        except EngineError as reason:
            self._say(f"{reason}\nWhat the former plan needed stays until the next change.")

    async def _stop_tidying(self) -> None:
        if self._tidying:
            self._tidying.cancel()
            await asyncio.gather(self._tidying, return_exceptions=True)


def _drain_time(desired: Desired) -> float:
    return desired.plan.limits.drain_timeout / 1000
