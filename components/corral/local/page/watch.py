"""A running engine seen over time: sums of the last seconds, marks, and the history of each model.

`Watch` does no I/O and has no clock: it observes one snapshot after the other.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from corral.local.budgets import BudgetStatus
from corral.local.errors import EngineError
from corral.local.page.feed import Feed, State
from corral.local.page.state import Expected, Snapshot, Windows, state_of
from corral.local.page.timeline import History, Marks
from corral.local.statistics.readings import Readings
from corral.local.statistics.status import Reload
from corral.local.statistics.totals import tallies
from corral.plan.capacity import headroom
from corral.plan.money import sums
from corral.plan.plan import Plan
from corral.simulated.control import ControlError, SimulatedControl


class Watch:
    """What a page can be told of one engine."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._windows = Windows()
        self._marks = Marks()
        self._history = History()
        self._ejections: Counter[tuple[str, str]] = Counter()
        self._last: Snapshot | None = None
        self._problem = ""
        self._expected: tuple[Plan, Expected] | None = None
        """Of the last plan that it was counted for: that takes long where many models have a peak."""

    def observe(self, snapshot: Snapshot) -> None:
        """A snapshot, later than the one before."""
        before = self._last
        if before is not None:
            self._compare(before, snapshot)
        if before is None or snapshot.plan != before.plan:
            shares = {
                model.name: {target.host: target.share for target in model.targets} for model in snapshot.plan.models
            }
            self._history.declare(snapshot.time, shares)
        if self._problem:
            self._marks.add(snapshot.time, "engine", "Envoy answers again")
            self._problem = ""
        if self._history.due(snapshot.at):
            self._history.add(snapshot.time, self._answered(snapshot.plan))
        self._last = snapshot

    def mark_unavailable(self, problem: str, time: int) -> None:
        """Nothing can be seen, and why; milliseconds since 1970."""
        if not self._problem:
            self._marks.add(time, "engine", "Envoy does not answer")
        self._problem = problem

    def state(self) -> State:
        """What the page shows, see `state`."""
        if self._last is None:
            return {"problem": self._problem or "Nothing has been seen yet.", "models": {}, "marks": {}}
        return {
            "stack": self._last.plan.stack,
            "url": self._url,
            "problem": "\n".join(filter(None, (self._problem, self._last.file_problem))),
            **state_of(self._last, self._windows, self._ejections, self._of_plan(self._last.plan)),
            "marks": self._marks.state(),
        }

    def _of_plan(self, plan: Plan) -> Expected:
        if self._expected is None or self._expected[0] is not plan:
            self._expected = plan, Expected({each.model: each for each in headroom(plan)}, sums(plan))
        return self._expected[1]

    def history(self, model: str) -> dict[str, Any] | None:
        """The last minutes of a model; None: there is no such model."""
        return self._history.of(model)

    def _compare(self, before: Snapshot, now: Snapshot) -> None:
        increase = now.readings.since(before.readings)
        for window in (self._windows.rates, self._windows.lately, self._windows.shares):
            window.add(before.at, now.at, increase.counters)
        self._windows.times.add(before.at, now.at, increase.times)
        if moved := self._marks.compare(before, now):
            self._windows.shares.forget(lambda series: series.model in moved)
        self._ejections.update(now.readings.ejected(now.plan) - before.readings.ejected(before.plan))

    def _answered(self, plan: Plan) -> dict[str, dict[str, float]]:
        """Requests a second by model and host, of those that answered any."""
        rates = self._windows.rates
        hosts = tallies(rates.total, lambda series: (series.model, series.host))
        answered = {model.name: dict[str, float]() for model in plan.models}
        for (model, host), tally in hosts.items():
            if host and tally.requests and model in answered:
                answered[model][host] = round(tally.requests / rates.span, 1)
        return {model: rates for model, rates in answered.items() if rates}


_SHORTEST_SECONDS, _POLL_SECONDS, _UNWATCHED_SECONDS = 0.5, 1.0, 2.0
"""Between two snapshots; the longest while nobody has the page open, as often as the history has a step."""


def pause_seconds(plan: Plan, *, watched: bool) -> float:
    """Between two snapshots: short enough that no host is left out and back again unnoticed."""
    pause = min(_POLL_SECONDS if watched else _UNWATCHED_SECONDS, plan.request_settings.ejection_time / 2000)
    return max(_SHORTEST_SECONDS, pause)


class Served(Protocol):
    """A session, as far as a page must know it."""

    @property
    def plan(self) -> Plan: ...
    @property
    def control(self) -> tuple[str, str] | None: ...
    @property
    def simulated(self) -> Mapping[str, str | None]: ...
    @property
    def budgets(self) -> Sequence[BudgetStatus]: ...
    @property
    def last_reload(self) -> Reload: ...
    async def poll(self) -> Readings: ...


async def keep_watching(served: Served, watch: Watch, feed: Feed) -> None:
    """Takes snapshots of what is served, and lets `feed` tell of them; until it is cancelled.

    What an operator must hear at once is reported as they are taken, whether there is a terminal or not.
    """
    faults = _Faults()
    try:
        while True:
            began = time.monotonic()
            try:
                plan, readings = served.plan, await served.poll()
                at, now = time.monotonic(), _now()
                kinds, problem = await faults.poll(served.control), served.last_reload.problem or ""
                watch.observe(Snapshot(at, now, plan, readings, kinds, served.simulated, problem, served.budgets))
            except EngineError as problem:
                watch.mark_unavailable(str(problem), _now())
            feed.publish()
            pause = pause_seconds(served.plan, watched=feed.viewers > 0)
            await asyncio.sleep(max(0.0, began + pause - time.monotonic()))
    finally:
        faults.close()


def _now() -> int:
    return time.time_ns() // 1_000_000


class _Faults:
    """Which simulated hosts were made to fail, per host the kind of fault; as it was where they do not answer."""

    def __init__(self) -> None:
        self._address: tuple[str, str] | None = None
        self._control: SimulatedControl | None = None
        self._kinds: dict[str, str] = {}

    async def poll(self, address: tuple[str, str] | None) -> dict[str, str]:
        if address != self._address:
            self.close()
            self._address, self._control = address, SimulatedControl(*address) if address else None
        if self._control is None:
            return {}
        try:
            state = await asyncio.to_thread(self._control.state)
        except ControlError:
            return self._kinds
        self._kinds = {
            name: ", ".join(f"{fault.kind}{f' of {fault.model}' if fault.model else ''}" for fault in host.faults)
            for name, host in state.hosts.items()
            if host.faults
        }
        return self._kinds

    def close(self) -> None:
        if self._control:
            self._control.close()
