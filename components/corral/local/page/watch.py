"""A running engine seen over time: sums of the last seconds, marks, and the history of each model.

It does no I/O and has no clock: it is shown one look after the other.

Looks at the running engine each second.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

from corral.local.admin import Admin
from corral.local.envoy.names import link_name
from corral.local.errors import EngineError
from corral.local.page.feed import Feed, State
from corral.local.page.state import LATELY, RATES, Look, Sums, state_of
from corral.local.page.timeline import History, Mark, Marks, faults, health, moves
from corral.local.statistics.readings import Timed, increase, left_out, read_counters, read_times, read_under_way
from corral.local.statistics.tally import Window, tally
from corral.plan.plan import Plan
from corral.simulated.control import ControlError, SimulatedControl


class Watch:
    """What a page can be told of one engine."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._sums = Sums(Window(RATES), Window(LATELY), Window(LATELY), Window(LATELY))
        self._marks = Marks()
        self._history = History()
        self._ejections: Counter[tuple[str, str]] = Counter()
        self._last: Look | None = None
        self._timed: tuple[float, Counter[Timed]] | None = None
        """When histograms were read last, and what they held."""
        self._problem = ""

    def see(self, look: Look) -> None:
        """A look, later than the one before."""
        before = self._last
        if before is None:
            self._history.declare(look.time, _shares(look.plan))
        else:
            self._count(before, look)
            self._mark(before, look)
        self._time(look)
        if self._problem:
            self._marks.add(look.time, [Mark("engine", "Envoy answers again")])
            self._problem = ""
        if self._history.due(look.at):
            self._history.add(look.time, self._answered(look.plan))
        self._last = look

    def lose(self, problem: str, time: int) -> None:
        """Nothing can be seen, and why; milliseconds since 1970."""
        if not self._problem:
            self._marks.add(time, [Mark("engine", "Envoy does not answer")])
        self._problem = problem

    def state(self) -> State:
        """What the page shows, see `state`."""
        if self._last is None:
            return {"problem": self._problem or "Nothing has been seen yet.", "models": {}, "marks": {}}
        return {
            "stack": self._last.plan.stack,
            "url": self._url,
            "problem": self._problem,
            **state_of(self._last, self._sums, self._ejections),
            "marks": self._marks.state(),
        }

    def history(self, model: str) -> dict[str, Any] | None:
        """The last minutes of a model; None: there is no such model."""
        return self._history.of(model)

    def _count(self, before: Look, look: Look) -> None:
        more = increase(before.counters, look.counters)
        for window in (self._sums.rates, self._sums.lately, self._sums.shares):
            window.add(before.at, look.at, more)
        self._ejections.update(look.out - before.out)

    def _time(self, look: Look) -> None:
        if look.times is None:
            return
        if self._timed:
            at, times = self._timed
            self._sums.times.add(at, look.at, increase(times, look.times))
        self._timed = look.at, look.times

    def _mark(self, before: Look, look: Look) -> None:
        if look.plan != before.plan:
            moved = moves(before.plan, look.plan)
            self._marks.add(look.time, moved)
            names = {mark.model for mark in moved}
            self._sums.shares.forget(lambda key: key.model in names)
            self._history.declare(look.time, _shares(look.plan))
        self._marks.add(look.time, health(_left_out(before), _left_out(look)))
        self._marks.add(look.time, faults(before.faults, look.faults))

    def _answered(self, plan: Plan) -> dict[str, dict[str, float]]:
        span, rates = self._sums.rates.span, tally(self._sums.rates.total)
        names = {*plan.model_names}
        found: dict[str, dict[str, float]] = {}
        for model, hosts in rates.items():
            answered = {host: round(of.requests / span, 1) for host, of in hosts.items() if host and of.requests}
            if answered and model in names:
                found[model] = answered
        return found


def _shares(plan: Plan) -> dict[str, dict[str, int]]:
    return {model.name: {target.host: target.share for target in model.targets} for model in plan.models}


def _left_out(look: Look) -> set[tuple[str, str]]:
    """Pairs of model and host."""
    if not look.out:
        return set()
    return {
        (model.name, target.host)
        for model, target in look.plan.targets
        if (link_name(model.name, target.priority), target.host) in look.out
    }


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
