"""What the drills of both engines have in common: the load, the faults of simulated hosts, and the record of it all."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping

import openai

from corral.local.drill.load import Load, Route, exceed
from corral.local.drill.record import Arrival, Failed, Moved, Record, Result, Span
from corral.local.drill.script import Break, Exhaust, Fail, Move, Step, Watch, steady_tenant
from corral.plan.plan import Plan
from corral.simulated.control import SimulatedControl
from corral.simulated.simulation import FaultKind

REQUESTS_PER_SECOND = 40.0
"""The rate of the steady load: what two cores carry beside the hosts and the gateway."""

_LATENCY_MS, _TOKENS_PER_SECOND = 20, 30
"""The speed of every host, so that streams are under way when something happens."""

_SLOW_MS = 800
"""On top for a slow first byte: within what the engine waits for."""

POLL_SECONDS = 0.1
"""Between two questions what has happened."""

_BACK_SECONDS = 20.0
"""How long a host has to be back in all its models."""

_TIMEOUT_SECONDS = 60.0
"""That of the official client."""


class Rehearsal(ABC):
    """Carries out the steps of a record's script under load, and fills the record in."""

    def __init__(
        self,
        record: Record,
        url: str,
        keys: Mapping[str, str],
        control: SimulatedControl,
        hosts: Collection[str],
        clock: Callable[[], float],
    ) -> None:
        """`keys`: by tenant; `hosts`: all that `control` commands; `clock`: gives the seconds since the start."""
        self.record = record
        self._url = url
        self._keys = keys
        self._simulated = control
        self._hosts = hosts
        self._clock = clock
        steady = steady_tenant(record.plan)
        self._client = self._client_with(keys[steady] if steady else "no key is needed")
        self._load = Load(self._client, _routes(record.plan), REQUESTS_PER_SECOND, clock, record.requests.append)
        self._models = _models_by_id(record.plan)
        self._arrived = 0

    @abstractmethod
    async def _move(self, step: Move) -> Moved:
        """Brings shares into force."""

    async def _ejected(self) -> list[tuple[str, str]]:
        """Models and their hosts that the engine leaves out, as far as it tells."""
        return []

    async def _break_down(self, host: str, step: Fail) -> None:
        kind: FaultKind = "reset" if step.how == "refused" else step.how
        delay = _SLOW_MS if kind == "slow-first-byte" else None
        await asyncio.to_thread(self._simulated.set_fault, host, kind, delay=delay)

    async def _mend(self, host: str) -> None:
        await asyncio.to_thread(self._simulated.clear_fault, host)

    async def run_all(self, *others: asyncio.Task[None]) -> None:
        """Carries out every step; cancelled, or when one of the others ends, it ends with what has happened so far."""
        tasks = [*others, asyncio.create_task(self._note()), asyncio.create_task(self._carry_out())]
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
        for host in self._hosts:
            await asyncio.to_thread(
                self._simulated.set_speed, host, latency=_LATENCY_MS, tokens_per_second=_TOKENS_PER_SECOND
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
                raise ValueError(f"only an engine that follows its file can {step.title}")
            case Fail():
                return await self._fail(step)
            case Exhaust():
                async with self._client_with(self._keys[step.tenant]) as client:
                    return await exceed(client, step)

    async def _fail(self, step: Fail) -> Failed:
        for host in step.hosts:
            await self._break_down(host, step)
        begun = self._clock()
        ejected: dict[tuple[str, str], float] = {}
        while self._clock() < begun + step.seconds:
            for place in await self._ejected():
                ejected.setdefault(place, self._clock())
            await asyncio.sleep(POLL_SECONDS)
        for host in step.hosts:
            await self._mend(host)
        healed = self._clock()
        while self._clock() < healed + _BACK_SECONDS:
            if not await self._ejected() and self._back(step.hosts, healed):
                return Failed(begun, ejected, healed, self._clock())
            await asyncio.sleep(POLL_SECONDS)
        return Failed(begun, ejected, healed, None)

    def _back(self, hosts: tuple[str, ...], healed: float) -> bool:
        """Whether each of the hosts has answered since."""
        return {each.host for each in self.record.arrivals if each.at > healed and each.status == 200} >= set(hosts)

    async def _note(self) -> None:
        while True:
            await self._take_arrivals()
            self.record.seconds, self.record.under_way = self._clock(), self._load.under_way
            await asyncio.sleep(POLL_SECONDS)

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
        return openai.AsyncOpenAI(base_url=self._url, api_key=key, max_retries=0, timeout=_TIMEOUT_SECONDS)


def _routes(plan: Plan) -> list[Route]:
    return [
        Route(model.name, all(target.takes.streaming is not False for target in model.live)) for model in plan.models
    ]


def _models_by_id(plan: Plan) -> dict[tuple[str, str], str]:
    """Per host and its id of a model our name of it; ids of several of our models are left out: nobody can tell."""
    models: dict[tuple[str, str], list[str]] = {}
    for model, target in plan.targets:
        models.setdefault((target.host, target.model_id), []).append(model.name)
    return {key: names[0] for key, names in models.items() if len(names) == 1}
