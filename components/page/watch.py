"""A running engine seen over time: sums of the last seconds, marks, and the history of each model.

It does no I/O and has no clock: it is shown one look after the other.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from components.embedded.readings import Timed, increase
from components.page.delta import State
from components.page.history import History
from components.page.look import Look
from components.page.marks import Mark, Marks, faults, health, moves
from components.page.state import LATELY, RATES, Sums, state_of
from components.page.tally import tally
from components.page.window import Window
from components.plan.plan import Plan
from components.render.envoy.names import link_name


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
        names = {model.name for model in plan.models}
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
        for model in look.plan.models
        for target in model.targets
        if (link_name(model.name, target.priority), target.host) in look.out
    }
