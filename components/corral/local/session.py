"""One run of `corral serve`: Envoy and the sidecars follow the stack file until they are told to end.

Policy.  A save that does not validate or whose plan is refused changes nothing, and neither does a file that has gone:
the reason is reported, the last good plan serves on.  A plan that this machine cannot carry out at the moment (its disk
is full, Envoy has just died) is tried again until it is in force.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from corral.config.problems import ConfigError
from corral.local.budgets import Budgets, BudgetStatus, budget_status
from corral.local.callers import refuse_strangers
from corral.local.envoy.configuration import Configuration, Secrets, Site, certificate, render
from corral.local.envoy_process import EnvoyProcess, claim_port, find_envoy
from corral.local.errors import EngineError
from corral.local.page.server import Listening, listen, numbers_route, serving_page
from corral.local.placement import Desired, Simulate, system_certificates
from corral.local.sidecars import Sidecars
from corral.local.source import Source
from corral.local.state_folder import Running, StateFolder, envoy_directory
from corral.local.statistics.notices import Notices
from corral.local.statistics.prometheus import Metrics
from corral.local.statistics.readings import Readings
from corral.local.statistics.request_log import Records
from corral.local.statistics.status import STATUS, ModelStatus, Reload, StackStatus, status
from corral.local.statistics.totals import Totals
from corral.plan.checks.run import RefusedError
from corral.plan.memory import held_back
from corral.plan.plan import Plan
from corral.plan.public_json import content_hash

Notify = Callable[[str], None]
"""Reports to the person at the terminal."""

_RENEWAL_SECONDS = 1.0
"""Between two looks whether a token is due to be renewed."""
_GONE_SECONDS = 1.0
"""How long a stack file may be missing while an editor replaces it."""


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


class Session:
    """A stack that is being served."""

    def __init__(
        self,
        source: Source,
        options: Options,
        first: Desired,
        site: Site,
        page: Listening,
        folder: StateFolder,
        notify: Notify,
    ) -> None:
        self._source = source
        self._options = options
        self._first = first
        self._site = site
        self.page = page
        """Where the live page is."""
        self._folder = folder
        self._notify = notify
        self._envoy = EnvoyProcess(find_envoy(), site.files, notify)
        self._budgets = Budgets(folder, notify)
        self.records = Records(folder, notify)
        self._sidecars = Sidecars(notify)
        self._totals = Totals(self._envoy.admin, lambda: self._envoy.pid)
        self._metrics = Metrics(self._totals)
        self._notices = Notices(notify)
        self.desired = first
        """What is in force, once `start` has returned."""
        self._settled = True
        """Whether what is in force is all that is written; False while a plan is tried again."""
        self._certificate = first.certificate
        now = datetime.now(UTC)
        self.last_reload = Reload(None, now, now)
        self._baseline = Readings()
        """What had been counted when the plan in force came into force."""
        self._tidying: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """What a client's base URL is."""
        return self._site.url

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

    @property
    def budgets(self) -> tuple[BudgetStatus, ...]:
        """What tenants have spent, of their budgets."""
        return budget_status(self._budgets.path, self.plan)

    @property
    def generated_keys(self) -> Path:
        """Where the tenants' keys lie that this run has generated."""
        return self._folder.generated_keys

    def host_port(self, host: str) -> int:
        """The port at which a host is reached without a proxy in between."""
        upstreams, _ = self._sidecars.upstreams(self.desired, {})
        return upstreams[host].port

    async def start(self) -> None:
        """Starts everything and waits until it serves.  Raises EngineError."""
        refuse_strangers(self.plan, self._site.address)
        await self._sidecars.serve(self.desired, keep_former=False)
        await self._envoy.start(*self._rendered(self.desired), _drain_seconds(self.desired))
        self._in_force(self.desired, Readings())

    async def stop(self) -> None:
        """Ends everything, in order."""
        try:
            await self._stop_tidying()
            await self._sidecars.settled()
            await self._envoy.stop(self._options.grace)
        finally:
            await self._sidecars.stop()

    async def reload(self) -> bool:
        """Brings the stack file into force.  False, and the reason reported, if it cannot be."""
        read_before = self._source.last_read
        try:
            desired = self._source.read(self._options.simulate)
            refuse_strangers(desired.plan, self._site.address)
            if desired == self.desired and self._settled:
                self._as_it_was(read_before)
                return True
            self._settled = False
            await self._stop_tidying()
            await self._sidecars.serve(desired, keep_former=True)
            baseline = await self._metrics.collect(self.plan)
            await self._envoy.apply(*self._rendered(desired), _drain_seconds(desired))
            self._in_force(desired, baseline)
        except (ConfigError, RefusedError) as reason:
            self._report(f"{reason}\nNothing was changed; the last good plan serves on.", read_before)
            return False
        except EngineError as reason:
            self._settled = False
            self._report(
                f"{reason}\nThe last good plan serves on; the new one is tried again until it is in force.", read_before
            )
            return False
        self._settled = True
        now, then = desired.stack.settings, self._first.stack.settings
        if (now.address, now.port, now.page_port) != (then.address, then.port, then.page_port):
            self._notify("corral:engine.address and ports are those of the start; end corral serve and start it again.")
        if (now.certificate is None) != (then.certificate is None):
            self._notify("Whether TLS is spoken is as it was at the start; end corral serve and start it again.")
        self._tidying = asyncio.create_task(self._tidy(desired))
        return True

    async def follow(self, moved: Callable[[Plan, Plan], None]) -> None:
        """Follows the stack file; calls `moved` with the plans before and after.  Raises EngineError: Envoy is lost."""
        followed = (self._envoy.failed(), self._follow_file(moved), self._renew_tokens())
        tasks = {asyncio.create_task(each) for each in followed}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _renew_tokens(self) -> None:
        """A new token is another text of the source, which is followed."""
        notified: str | None = None
        while True:
            await asyncio.sleep(_RENEWAL_SECONDS)
            tokens = self._source.tokens
            complaint = await asyncio.to_thread(tokens.renew) if tokens.is_due else None
            if complaint and complaint != notified:
                self._notify(complaint)
            notified = complaint or (notified if tokens.is_late else None)

    async def _follow_file(self, moved: Callable[[Plan, Plan], None]) -> None:
        clock = asyncio.get_running_loop().time
        missing: float | None = None
        async for _ in self._source.events():
            text = self._source.text()
            if text is None:
                missing = missing or clock()
                if clock() - missing >= _GONE_SECONDS:
                    self._source.last_read = None
                    self._report(f"{self.desired.stack.file} has gone; the last good plan serves on.", None)
                continue
            missing = None
            if text == self._source.last_read and self._settled:
                continue
            before = self.plan
            with held_back():
                followed = await self.reload()
            if followed and self.plan != before:
                moved(before, self.plan)

    async def status(self) -> tuple[ModelStatus, ...]:
        """Declared beside observed since the plan in force came into force.  Raises EngineError."""
        since = (await self.poll()).since(self._baseline)
        return status(self.plan, since, self.simulated)

    async def poll(self) -> Readings:
        """What Envoy has counted; reports what an operator must hear of it at once.  Raises EngineError."""
        readings = await self._totals.poll()
        self._notices.check(readings, self.plan)
        self._budgets.report(self.plan)
        return readings

    async def metrics(self, accept: str = "") -> tuple[bytes, str]:
        """The body and content type for Prometheus; `accept` is the header of its request.  Raises EngineError."""
        return await self._metrics.expose(self.plan, self.last_reload, self.budgets, accept)

    async def status_json(self, _accept: str = "") -> tuple[bytes, str]:
        """The stack's status as JSON, and its content type.  Raises EngineError."""
        stack = StackStatus(content_hash(self.plan), self.last_reload, await self.status(), self.budgets)
        return STATUS.dump_json(stack, by_alias=True), "application/json"

    def _rendered(self, desired: Desired) -> tuple[Configuration, Secrets]:
        """The configuration, and the secrets it needs."""
        upstreams, keys = self._sidecars.upstreams(desired, self._options.proxy_ports)
        site = replace(self._site, public_keys=desired.public_keys, trusted=system_certificates())
        secrets = Secrets(keys)
        if site.tls and (served := desired.certificate or self._certificate):
            self._certificate = served
            secrets = Secrets(keys, certificate(served.chain, served.key))
        budgets = self._budgets.file(desired.plan, desired.why_simulated())
        return render(desired.plan, upstreams, desired.callers.hashes, site, secrets, budgets), secrets

    def _report(self, problem: str, read_before: bytes | None) -> None:
        """Says why the stack file is not in force; of a file that holds what it held before only what is new."""
        last, now = self.last_reload, datetime.now(UTC)
        if problem != last.problem or self._source.last_read != read_before:
            self._notify(problem)
            self.last_reload = Reload(problem, now, last.succeeded)

    def _as_it_was(self, read_before: bytes | None) -> None:
        """The stack file says what is in force."""
        last, now = self.last_reload, datetime.now(UTC)
        if last.problem:
            back = "is back, as it was" if read_before is None else "is as it was: its plan is in force"
            self._notify(f"{self.desired.stack.file} {back}.")
        self.last_reload = Reload(None, now if last.problem else last.since, now)

    def _in_force(self, desired: Desired, baseline: Readings) -> None:
        control, now = self._sidecars.control, datetime.now(UTC)
        running = Running(
            pid=os.getpid(),
            started=psutil.Process().create_time(),
            url=self.url,
            page_url=self.page.url,
            admin_socket=str(self._site.files.admin_socket),
            plan=desired.plan,
            simulated=desired.why_simulated(),
            control_url=control[0] if control else None,
            control_token=control[1] if control else None,
            since=now.isoformat(timespec="milliseconds"),
        )
        self._folder.write_running(running)
        self._folder.write_generated_keys(desired.callers.generated)
        retention = timedelta(days=desired.stack.settings.retention_days)
        self.records.in_force(desired.plan, desired.why_simulated(), retention)
        self.desired, self._baseline = desired, baseline
        self.last_reload = Reload(None, now, now)
        self._notices.in_force(baseline)

    async def _tidy(self, desired: Desired) -> None:
        try:
            await self._envoy.drained()
            await self._sidecars.serve(desired, keep_former=False)
        except EngineError as reason:
            self._notify(f"{reason}\nWhat the former plan needed stays until the next change.")

    async def _stop_tidying(self) -> None:
        if self._tidying:
            self._tidying.cancel()
            await asyncio.gather(self._tidying, return_exceptions=True)


def _drain_seconds(desired: Desired) -> float:
    return desired.plan.request_settings.drain_timeout / 1000


@asynccontextmanager
async def serving(source: Source, options: Options, notify: Notify) -> AsyncGenerator[Session]:
    """Serves a stack from here until the end of the block, however it ends; nothing is left running or lying about.

    Raises ConfigError, RefusedError or EngineError where it cannot be served.
    """
    async with AsyncExitStack() as ending:
        desired = source.read(options.simulate)
        settings, stack = desired.stack.settings, desired.plan.stack
        folder = StateFolder.of(source.project, stack)
        ending.enter_context(folder.claimed())
        address = options.address or settings.address
        port = claim_port(address, settings.port if options.port is None else options.port)
        page = listen(settings.page_port)
        ending.callback(page.socket.close)
        files = ending.enter_context(envoy_directory(stack))
        site = Site(address, port, files, folder.current, folder.mirrored, tls=desired.certificate is not None)
        session = Session(source, options, desired, site, page, folder, notify)
        ending.push_async_callback(session.stop)
        await session.start()
        await ending.enter_async_context(session.records.kept_in_order())
        routes = (numbers_route("/metrics", session.metrics), numbers_route("/status", session.status_json))
        await ending.enter_async_context(serving_page(page, session, session.url, *routes))
        yield session
