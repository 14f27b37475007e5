"""Carries the script of a drill out, and writes down what happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import openai

from corral.config.stack_file import with_shares
from corral.local.desired import Loaded
from corral.local.drill.copy import Copy, Door, TenantKeys, copied, rehearsed
from corral.local.drill.load import Asked, Load, Way, compare, exceed
from corral.local.drill.record import Arrival, Compared, Failed, Moved, Record, Refused, Result, Span
from corral.local.drill.script import Break, Compare, Exhaust, Fail, Move, Script, Step, Watch, caller, declared
from corral.local.errors import EngineError
from corral.local.serving import serving
from corral.local.session import Options, Session
from corral.plan.plan import Plan
from corral.simulated.control import SimulatedControl
from corral.simulated.simulation import FaultKind

RATE = 40.0
"""Requests a second of the steady load: what two cores carry beside the hosts and the gateway."""

_LATENCY, _TOKENS_PER_SECOND = 20, 30
"""Milliseconds and tokens a second of every host, so that streams are under way when something happens."""

_SLOW = 800
"""Milliseconds on top for a slow first byte: within what the engine waits for."""

_LOOK = 0.1
"""Seconds between two looks at who is left out."""

_FOLLOWED = 30.0
"""Seconds that an edit has to come into force, or to be refused: many on an idle machine, few on a crowded one."""

_WHOLE = 20.0
"""Seconds that a host has to be back in all its models."""

_ANSWERED = 60.0
"""Seconds that the official client waits."""


class Drill:
    """One drill on a stack that is being served."""

    def __init__(self, session: Session, copy: Copy, record: Record, keys: TenantKeys, clock: Callable[[], float]):
        self._session = session
        self._copy = copy
        self.record = record
        self._keys = keys
        self._clock = clock
        self._moved = asyncio.Event()
        self._text = copy.file.read_text(encoding="utf-8-sig")
        steady = caller(record.plan)
        self._client = self._calling(keys[steady] if steady else "nobody asks")
        self._load = Load(self._client, _asked(record.plan), RATE, clock, record.requests.append)
        if session.control is None:
            raise EngineError(f"Stack {record.plan.stack} has no host that a request can reach.")
        self._simulated = SimulatedControl(*session.control)
        self._names = _own_names(record.plan)
        self._arrived = 0

    async def run(self) -> None:
        """Carries out every step; cancelled, it ends with what has happened so far.  Raises EngineError."""
        following = asyncio.create_task(self._session.follow(self._follow))
        noting = asyncio.create_task(self._note())
        carrying = asyncio.create_task(self._carry_out())
        try:
            await asyncio.wait({following, noting, carrying}, return_when=asyncio.FIRST_COMPLETED)
            for task in (following, noting, carrying):
                if task.done():
                    task.result()
        finally:
            for task in (carrying, noting, following):
                task.cancel()
            await asyncio.gather(carrying, noting, following, return_exceptions=True)
            await self._load.cut()
            self.record.seconds = self._clock()
            await self._client.close()
            self._simulated.close()

    def _follow(self, _before: Plan, _after: Plan) -> None:
        self._moved.set()

    async def _carry_out(self) -> None:
        loading: asyncio.Task[None] | None = None
        try:
            for step in self.record.steps:
                if loading is None and not isinstance(step, Compare):
                    await self._pace()
                    loading = asyncio.create_task(self._load.run())
                began = self._clock()
                self.record.current = step
                result = await self._step(step)
                self.record.spans.append(Span(step, began, self._clock(), result))
        finally:
            self.record.current = None
            if loading:
                loading.cancel()
        await self._load.finish()
        await self._take_arrivals()

    async def _step(self, step: Step) -> Result:
        match step:
            case Compare():
                return await self._compare(step)
            case Watch():
                await asyncio.sleep(step.seconds)
                return None
            case Move():
                return await self._move(step)
            case Break():
                return await self._break(step)
            case Fail():
                return await self._fail(step)
            case Exhaust():
                async with self._calling(self._keys[step.exhaustion.tenant]) as client:
                    return await exceed(client, step.exhaustion, step.seconds)

    async def _compare(self, step: Compare) -> Compared:
        target = self.record.plan.at(step.host)[step.model]
        links, secrets = self._session.reached()
        link = links[step.host]
        key = secrets.get(link.name, "none is wanted")
        async with openai.AsyncOpenAI(
            base_url=link.url,
            api_key=key.removeprefix("Bearer "),
            default_headers={"api-key": key} if link.header == "api-key" else None,
            max_retries=0,
            timeout=_ANSWERED,
        ) as client:
            return await compare(
                Way(client, target.model_id),
                Way(self._client, step.model),
                step.host,
                step.seconds,
                streams=target.streaming is not False,
            )

    async def _move(self, step: Move) -> Moved:
        self._text = with_shares(self._text, step.shares)
        self._moved.clear()
        self._copy.save(self._text)
        saved = self._clock()
        try:
            async with asyncio.timeout(_FOLLOWED):
                await self._moved.wait()
            in_force = self._clock()
        except TimeoutError:
            in_force = None
        await asyncio.sleep(step.seconds)
        return Moved(saved, in_force)

    async def _break(self, step: Break) -> Refused:
        before, said = self._session.desired.plan, len(self.record.said)
        self._copy.save(_broken(self._text, step, self.record.plan))
        await self._until(lambda: len(self.record.said) > said, _FOLLOWED)
        told = [text for _, text in self.record.said[said:]]
        await asyncio.sleep(step.seconds)
        unchanged = self._session.desired.plan == before
        self._copy.save(self._text)
        return Refused(told[0] if told else None, unchanged)

    async def _fail(self, step: Fail) -> Failed:
        for host in step.hosts:
            await self._break_down(host, step)
        begun = self._clock()
        left_out: dict[tuple[str, str], float] = {}
        while self._clock() < begun + step.seconds:
            for left in await self._left_out():
                left_out.setdefault(left, self._clock())
            await asyncio.sleep(_LOOK)
        for host in step.hosts:
            if door := self._copy.doors.get(host):
                await door.open()
            await asyncio.to_thread(self._simulated.clear_fault, host)
        healed = self._clock()
        while self._clock() < healed + _WHOLE:
            if not await self._left_out() and self._back(step.hosts, healed):
                return Failed(begun, left_out, healed, self._clock())
            await asyncio.sleep(_LOOK)
        return Failed(begun, left_out, healed, None)

    async def _break_down(self, host: str, step: Fail) -> None:
        kind: FaultKind = "reset" if step.how == "refused" else step.how
        delay = _SLOW if kind == "slow-first-byte" else None
        await asyncio.to_thread(self._simulated.set_fault, host, kind, delay=delay)
        if step.how == "refused":
            self._copy.doors[host].shut()

    async def _left_out(self) -> list[tuple[str, str]]:
        """Models and their hosts that the engine leaves out."""
        return [
            (model.model, host.host) for model in await self._session.status() for host in model.hosts if host.ejected
        ]

    def _back(self, hosts: tuple[str, ...], healed: float) -> bool:
        """Whether each of the hosts has answered since."""
        answered = {each.host for each in self.record.arrivals if each.at > healed and each.status == 200}
        return answered >= set(hosts)

    async def _until(self, holds: Callable[[], bool], patience: float) -> None:
        """Waits until it holds, so many seconds at most."""
        end = self._clock() + patience
        while not holds():
            if self._clock() > end:
                return
            await asyncio.sleep(_LOOK)

    async def _pace(self) -> None:
        """Slows the hosts down to what a model's answer takes."""
        for host in self._session.desired.simulated:
            await asyncio.to_thread(
                self._simulated.set_speed, host.name, latency=_LATENCY, tokens_per_second=_TOKENS_PER_SECOND
            )

    async def _note(self) -> None:
        while True:
            await self._take_arrivals()
            self.record.seconds, self.record.under_way = self._clock(), self._load.under_way
            await asyncio.sleep(_LOOK)

    async def _take_arrivals(self) -> None:
        latest = await asyncio.to_thread(self._simulated.latest, self._arrived)
        self._arrived = latest.finished
        offset = time.monotonic() - self._clock()
        self.record.arrivals += [
            Arrival(at - offset, host, self._names[host, name], status)
            for at, host, name, status in latest.requests
            if name is not None and (host, name) in self._names
        ]

    def _calling(self, key: str) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=self._session.url, api_key=key, max_retries=0, timeout=_ANSWERED)


def _asked(plan: Plan) -> list[Asked]:
    return [Asked(model.name, all(target.streaming is not False for target in model.live)) for model in plan.models]


def _own_names(plan: Plan) -> dict[tuple[str, str], str]:
    """Per host and its id of a model our name of it; ids of several of our models are left out: nobody can tell."""
    named: dict[tuple[str, str], list[str]] = {}
    for model, target in plan.targets:
        named.setdefault((target.host, target.model_id), []).append(model.name)
    return {key: names[0] for key, names in named.items() if len(names) == 1}


def _broken(text: str, step: Break, plan: Plan) -> str:
    if step.how == "unreadable":
        return text[: len(text) // 2] + "\n  - {not: [YAML\n"
    (model, shares), *_ = declared(plan).items()
    host, share = max(shares.items(), key=lambda found: found[1])
    return with_shares(text, {model: {**shares, host: share - 1}})


@asynccontextmanager
async def drilling(file: Path, load: Callable[[Path], Loaded], steps: Script) -> AsyncGenerator[Drill]:
    """A drill on a copy of the stack file, ready to run; its record can be read at any time.  `steps` fit its plan.

    `load` reads, plans and checks a file.  Raises ConfigError, RefusedError or EngineError where it cannot be served.
    """
    async with AsyncExitStack() as ending:
        plan = load(file).plan
        doors = {host: Door() for host in _refusing(steps)}
        for door in doors.values():
            await door.open()
            ending.push_async_callback(door.end)
        keys = TenantKeys()
        folder = Path(ending.enter_context(TemporaryDirectory(prefix="corral-drill-", ignore_cleanup_errors=True)))
        copy = copied(file, folder, load, keys, doors)
        start = time.monotonic()
        record = Record(plan, rehearsed(plan, keys), steps)

        def clock() -> float:
            return time.monotonic() - start

        def say(told: str) -> None:
            record.said.append((clock(), told.replace(str(copy.file), file.name)))

        session = await ending.enter_async_context(serving(copy, Options("always"), say))
        yield Drill(session, copy, record, keys, clock)


def _refusing(steps: Script) -> set[str]:
    return {host for step in steps if isinstance(step, Fail) and step.how == "refused" for host in step.hosts}
