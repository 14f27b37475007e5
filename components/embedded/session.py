"""One run of `corral up`: the engine and the simulated hosts follow the stack file until they are told to end.

A save that does not validate, or whose plan is refused, changes nothing: the error is said, the last good plan
serves on.  A plan that this machine cannot carry out at the moment (its disk is full, Envoy has just died) is tried
again until it is in force.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import psutil
import watchfiles

from components.config.errors import ConfigError
from components.embedded import directory, registry
from components.embedded.binary import find_envoy
from components.embedded.desired import Desired, Loaded, desire
from components.embedded.engine import Engine, claim_port
from components.embedded.errors import EngineError
from components.embedded.notices import Notices
from components.embedded.placement import Simulate
from components.embedded.stand_ins import Keys, StandIns
from components.embedded.status import NOTHING, Counts, ModelStatus, count, status
from components.plan.plan import Plan
from components.render.envoy.configuration import Configuration, render
from components.render.envoy.names import Files

_DEBOUNCE_MS = 50
_LOOK_MS = 500
"""The stack file is looked at this often also where no event comes, as on some network file systems."""

Say = Callable[[str], None]
"""Tells the person at the terminal."""


class RefusedError(Exception):
    """A stack that cannot be served; the message holds every reason, one a line."""


@dataclass(frozen=True)
class Options:
    """What the command line says over the stack's engine settings; None: the stack's word stands."""

    simulate: Simulate | None = None
    address: str | None = None
    port: int | None = None
    grace: float = 5.0
    """Seconds that requests under way get when the engine is told to end."""


@dataclass(frozen=True)
class Source:
    """The stack file that is followed, and how it is read."""

    project: Path
    file: Path
    load: Callable[[], Loaded]
    """Raises ConfigError or RefusedError."""
    environment: Mapping[str, str]
    """Where the hosts' keys are."""

    def text(self) -> bytes | None:
        """What the file holds; None while there is none, as when an editor is about to replace it."""
        try:
            return self.file.read_bytes()
        except OSError:
            return None

    def desire(self, simulate: Simulate | None, keys: Keys) -> Desired:
        """What the file asks of this machine.  Raises ConfigError, RefusedError or EngineError."""
        loaded = self.load()
        return desire(loaded, simulate or loaded.settings.simulate, self.environment, keys)


@dataclass(frozen=True)
class Place:
    """Where the engine serves."""

    address: str
    port: int
    files: Files

    @property
    def url(self) -> str:
        """What a client's base URL is."""
        address = "127.0.0.1" if self.address == "0.0.0.0" else self.address  # noqa: S104 (compared, not bound)
        return f"http://{f'[{address}]' if ':' in address else address}:{self.port}/v1"


class Session:
    """A stack that is being served."""

    def __init__(
        self, source: Source, options: Options, place: Place, engine: Engine, stand_ins: StandIns, say: Say
    ) -> None:
        self._source = source
        self._options = options
        self._place = place
        self._engine = engine
        self._stand_ins = stand_ins
        self._say = say
        self._keys = Keys()
        self._notices = Notices(say)
        self._text = source.text()
        self.desired = source.desire(options.simulate, self._keys)
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
    def open_to_others(self) -> bool:
        """Whether other machines can connect."""
        return not ip_address(self._place.address).is_loopback

    async def start(self) -> None:
        """Starts everything and waits until it serves.  Raises EngineError."""
        await self._stand_ins.serve(self.desired.simulated, keep_former=False)
        await self._engine.start(*self._rendered(self.desired), _drain_time(self.desired))
        self._in_force(self.desired, NOTHING)

    async def reload(self) -> bool:
        """Brings the stack file into force.  False, and said why, if it cannot be: the last good plan serves on."""
        text = self._source.text()
        again, self._text = text == self._text, text
        try:
            desired = self._source.desire(self._options.simulate, self._keys)
            if desired == self.desired and self._settled:
                return True
            self._settled = False
            await self._stand_ins.serve(desired.simulated, keep_former=True)
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
        await self._stop_tidying()
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
        file = self._source.file

        def ours(_: watchfiles.Change, path: str) -> bool:
            return Path(path) == file

        # What the file holds decides, not the event: one that came before the watch began is not missed.
        async for _ in watchfiles.awatch(  # pyright: ignore[reportUnknownMemberType] (its event type is untyped)
            file.parent,
            watch_filter=ours,
            debounce=_DEBOUNCE_MS,
            recursive=False,
            rust_timeout=_LOOK_MS,
            yield_on_timeout=True,
        ):
            text = self._source.text()
            if text is None or (text == self._text and self._settled):
                continue
            before = self.desired.plan
            if await self.reload() and self.desired.plan != before:
                moved(before, self.desired.plan)

    async def status(self) -> tuple[ModelStatus, ...]:
        """Declared beside observed since the plan in force came into force.  Raises EngineError."""
        counts = (await count(self._engine.admin)).since(self._baseline)
        unhealthy = await self._engine.admin.unhealthy()
        self._notices.look(counts, unhealthy, self.desired.plan)
        return status(self.desired.plan, counts, unhealthy, self.desired.why_simulated())

    async def stop(self) -> None:
        """Ends what the session does beside serving."""
        await self._stop_tidying()

    def _rendered(self, desired: Desired) -> tuple[Configuration, dict[str, str]]:
        """The configuration, and the secrets it names."""
        links, place = desired.links(self._stand_ins.port), self._place
        return render(desired.plan, links, place.address, place.port, place.files), desired.secrets(links)

    def _tell_what_waits(self, desired: Desired) -> None:
        now, then = desired.loaded.settings, self._first.loaded.settings
        if (now.address, now.port) != (then.address, then.port):
            self._say("corral:engine.address and port are those of the start; end corral up and start it again.")

    def _complain(self, complaint: str, *, again: bool) -> None:
        """Says it; on another try of the same file only what is new."""
        if not (again and complaint == self._complaint):
            self._say(complaint)
        self._complaint = complaint

    def _in_force(self, desired: Desired, baseline: Counts) -> None:
        control = self._stand_ins.control
        registry.write(
            self._source.project,
            desired.plan.stack,
            registry.Running(
                pid=os.getpid(),
                started=psutil.Process().create_time(),
                url=self.url,
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
        self.desired, self._baseline = desired, baseline
        self._notices.forget()

    async def _tidy(self, desired: Desired) -> None:
        try:
            await self._engine.drained()
            await self._stand_ins.serve(desired.simulated, keep_former=False)
        except EngineError as reason:
            self._say(f"{reason}\nWhat the former plan needed stays until the next change.")

    async def _stop_tidying(self) -> None:
        if self._tidying:
            self._tidying.cancel()
            await asyncio.gather(self._tidying, return_exceptions=True)


def _drain_time(desired: Desired) -> float:
    return desired.plan.limits.drain_timeout / 1000


def _refuse_second(project: Path, stack: str) -> None:
    running = registry.find(project, stack)
    if running:
        raise EngineError(
            f"Stack {stack} is being served already, by process {running.pid} at {running.url}. "
            "End that one first (Ctrl-C), or look at it with: corral status"
        )


@asynccontextmanager
async def serving(source: Source, options: Options, say: Say) -> AsyncGenerator[Session]:
    """Serves a stack from here until the end of the block, however it ends; nothing is left running or lying about.

    Raises ConfigError, RefusedError or EngineError where it cannot be served.
    """
    async with AsyncExitStack() as ending:
        first = source.load()
        settings, stack = first.settings, first.plan.stack
        _refuse_second(source.project, stack)
        envoy = find_envoy()
        address = options.address or settings.address
        port = claim_port(address, settings.port if options.port is None else options.port)
        files = directory.create(stack)
        ending.callback(directory.remove, files)
        ending.callback(registry.forget, source.project, stack)
        stand_ins = StandIns(say)
        ending.push_async_callback(stand_ins.stop)
        engine = Engine(envoy, files, say)
        ending.push_async_callback(engine.stop, options.grace)
        session = Session(source, options, Place(address, port, files), engine, stand_ins, say)
        ending.push_async_callback(session.stop)
        await session.start()
        yield session
