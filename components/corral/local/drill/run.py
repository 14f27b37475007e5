"""Carries the script of a drill out, and writes down what happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import openai

from corral.config.stack_file import with_shares
from corral.local.drill.load import Load, Route, exceed
from corral.local.drill.record import Arrival, Failed, Moved, Record, Refused, Result, Span
from corral.local.drill.script import Break, Exhaust, Fail, Move, Script, Step, Watch, declared, steady_tenant
from corral.local.drill.stack_copy import StackCopy, TcpProxy, TenantKeys, copy_stack, rehearsal
from corral.local.errors import EngineError
from corral.local.session import Options, Session, serving
from corral.plan.checks.run import CheckedStack
from corral.plan.plan import Plan
from corral.simulated.control import SimulatedControl
from corral.simulated.simulation import FaultKind

REQUESTS_PER_SECOND = 40.0
"""The rate of the steady load: what two cores carry beside the hosts and the gateway."""

_LATENCY_MS, _TOKENS_PER_SECOND = 20, 30
"""The speed of every host, so that streams are under way when something happens."""

_SLOW_MS = 800
"""On top for a slow first byte: within what the engine waits for."""

_POLL_SECONDS = 0.1
"""Between two questions who is left out."""

_IN_FORCE_SECONDS = 30.0
"""How long an edit has to come into force, or to be refused: long on an idle machine, short on a crowded one."""

_BACK_SECONDS = 20.0
"""How long a host has to be back in all its models."""

_TIMEOUT_SECONDS = 60.0
"""That of the official client."""


class Drill:
    """One drill on a stack that is being served."""

    def __init__(
        self,
        session: Session,
        copy: StackCopy,
        proxies: Mapping[str, TcpProxy],
        record: Record,
        keys: TenantKeys,
        clock: Callable[[], float],
    ) -> None:
        if session.control is None:
            raise EngineError(f"Stack {record.plan.stack} has no host that a request can reach.")
        self.record = record
        self._session = session
        self._copy = copy
        self._proxies = proxies
        self._keys = keys
        self._clock = clock
        self._moved = asyncio.Event()
        self._text = copy.file.read_text(encoding="utf-8-sig")
        steady = steady_tenant(record.plan)
        self._client = self._client_with(keys[steady] if steady else "no key is needed")
        self._load = Load(self._client, _routes(record.plan), REQUESTS_PER_SECOND, clock, record.requests.append)
        self._simulated = SimulatedControl(*session.control)
        self._models = _models_by_id(record.plan)
        self._arrived = 0

    async def run(self) -> None:
        """Carries out every step; cancelled, it ends with what has happened so far.  Raises EngineError."""
        tasks = [
            asyncio.create_task(self._session.follow(lambda _before, _after: self._moved.set())),
            asyncio.create_task(self._note()),
            asyncio.create_task(self._carry_out()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in reversed(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._load.cut()
            self.record.seconds = self._clock()
            await self._client.close()
            self._simulated.close()

    async def _carry_out(self) -> None:
        for host in self._session.desired.simulated:
            await asyncio.to_thread(
                self._simulated.set_speed, host.name, latency=_LATENCY_MS, tokens_per_second=_TOKENS_PER_SECOND
            )
        loading = asyncio.create_task(self._load.run())
        try:
            for step in self.record.steps:
                began = self._clock()
                self.record.current = step
                result = await self._step(step)
                self.record.spans.append(Span(step, began, self._clock(), result))
        finally:
            self.record.current = None
            loading.cancel()
        await self._load.finish()
        await self._take_arrivals()

    async def _step(self, step: Step) -> Result:
        match step:
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
                async with self._client_with(self._keys[step.tenant]) as client:
                    return await exceed(client, step)

    async def _move(self, step: Move) -> Moved:
        self._text = with_shares(self._text, step.shares)
        self._moved.clear()
        self._copy.save(self._text)
        saved = self._clock()
        in_force = None
        try:
            async with asyncio.timeout(_IN_FORCE_SECONDS):
                await self._moved.wait()
            in_force = self._clock()
        except TimeoutError:
            pass
        await asyncio.sleep(step.seconds)
        return Moved(saved, in_force)

    async def _break(self, step: Break) -> Refused:
        before, notices = self._session.desired.plan, len(self.record.notices)
        self._copy.save(_broken(self._text, step, self.record.plan))
        deadline = self._clock() + _IN_FORCE_SECONDS
        while len(self.record.notices) == notices:
            if self._clock() > deadline:
                break
            await asyncio.sleep(_POLL_SECONDS)
        message = next((text for _, text in self.record.notices[notices:]), None)
        await asyncio.sleep(step.seconds)
        unchanged = self._session.desired.plan == before
        self._copy.save(self._text)
        deadline = self._clock() + _IN_FORCE_SECONDS
        while self._session.last_reload.problem:
            if self._clock() > deadline:
                break
            await asyncio.sleep(_POLL_SECONDS)
        return Refused(step.title, message, unchanged)

    async def _fail(self, step: Fail) -> Failed:
        for host in step.hosts:
            await self._break_down(host, step)
        begun = self._clock()
        ejected: dict[tuple[str, str], float] = {}
        while self._clock() < begun + step.seconds:
            for place in await self._ejected():
                ejected.setdefault(place, self._clock())
            await asyncio.sleep(_POLL_SECONDS)
        for host in step.hosts:
            if host in self._proxies:
                await self._proxies[host].listen()
            await asyncio.to_thread(self._simulated.clear_fault, host)
        healed = self._clock()
        while self._clock() < healed + _BACK_SECONDS:
            if not await self._ejected() and self._back(step.hosts, healed):
                return Failed(begun, ejected, healed, self._clock())
            await asyncio.sleep(_POLL_SECONDS)
        return Failed(begun, ejected, healed, None)

    async def _break_down(self, host: str, step: Fail) -> None:
        kind: FaultKind = "reset" if step.how == "refused" else step.how
        delay = _SLOW_MS if kind == "slow-first-byte" else None
        await asyncio.to_thread(self._simulated.set_fault, host, kind, delay=delay)
        if step.how == "refused":
            self._proxies[host].refuse()

    async def _ejected(self) -> list[tuple[str, str]]:
        """Models and their hosts that the engine leaves out."""
        return [
            (model.model, host.host) for model in await self._session.status() for host in model.hosts if host.ejected
        ]

    def _back(self, hosts: tuple[str, ...], healed: float) -> bool:
        """Whether each of the hosts has answered since."""
        return {each.host for each in self.record.arrivals if each.at > healed and each.status == 200} >= set(hosts)

    async def _note(self) -> None:
        while True:
            await self._take_arrivals()
            self.record.seconds, self.record.under_way = self._clock(), self._load.under_way
            await asyncio.sleep(_POLL_SECONDS)

    async def _take_arrivals(self) -> None:
        latest = await asyncio.to_thread(self._simulated.latest, self._arrived)
        self._arrived = latest.finished
        offset = time.monotonic() - self._clock()
        self.record.arrivals += [
            Arrival(at - offset, host, self._models[host, model_id], status)
            for at, host, model_id, status in latest.requests
            if model_id is not None and (host, model_id) in self._models
        ]

    def _client_with(self, key: str) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=self._session.url, api_key=key, max_retries=0, timeout=_TIMEOUT_SECONDS)


def _routes(plan: Plan) -> list[Route]:
    return [Route(model.name, all(target.streaming is not False for target in model.live)) for model in plan.models]


def _models_by_id(plan: Plan) -> dict[tuple[str, str], str]:
    """Per host and its id of a model our name of it; ids of several of our models are left out: nobody can tell."""
    models: dict[tuple[str, str], list[str]] = {}
    for model, target in plan.targets:
        models.setdefault((target.host, target.model_id), []).append(model.name)
    return {key: names[0] for key, names in models.items() if len(names) == 1}


def _broken(text: str, step: Break, plan: Plan) -> str:
    if step.how == "unreadable":
        return text[: len(text) // 2] + "\n  - {not: [YAML\n"
    (model, shares), *_ = declared(plan).items()
    host, share = max(shares.items(), key=lambda item: item[1])
    return with_shares(text, {model: {**shares, host: share - 1}})


@asynccontextmanager
async def drilling(file: Path, load: Callable[[Path], CheckedStack], steps: Script) -> AsyncGenerator[Drill]:
    """A drill on a copy of the stack file, ready to run; its record can be read at any time.  `steps` fit its plan.

    `load` reads, plans and checks a file.  Raises ConfigError, RefusedError or EngineError where it cannot be served.
    """
    async with AsyncExitStack() as ending:
        plan = load(file).plan
        refusing = {host for step in steps if isinstance(step, Fail) and step.how == "refused" for host in step.hosts}
        proxies = {host: TcpProxy() for host in refusing}
        for proxy in proxies.values():
            await proxy.listen()
            ending.push_async_callback(proxy.close)
        keys = TenantKeys()
        folder = Path(ending.enter_context(TemporaryDirectory(prefix="corral-drill-", ignore_cleanup_errors=True)))
        copy = copy_stack(file, folder, load, keys)
        start = time.monotonic()
        record = Record(plan, rehearsal(plan, keys), steps)

        def clock() -> float:
            return time.monotonic() - start

        def notify(text: str) -> None:
            record.notices.append((clock(), text.replace(str(copy.file), file.name)))

        options = Options("always", proxy_ports={host: proxy.port for host, proxy in proxies.items()})
        session = await ending.enter_async_context(serving(copy, options, notify))
        for host, proxy in proxies.items():
            proxy.target_port = session.host_port(host)
        yield Drill(session, copy, proxies, record, keys, clock)
