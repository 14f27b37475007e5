"""Readings added up: over all lives of one Envoy, over the last seconds, by model, host and tenant.

An Envoy that is started again counts from 0: what the one before had counted is added.  What that one counted between
the last reading and its death is lost.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, TypeVar

from corral.local.admin import Admin
from corral.local.envoy import statistics
from corral.local.statistics import readings
from corral.local.statistics.readings import Bin, Readings, Series, Timed

K = TypeVar("K")
G = TypeVar("G")

_TIMES_SECONDS = 5.0
"""How often times are read: those of many models are long, and nobody watches them by the second."""


class Growing(Generic[K]):
    """Counters that never go backwards."""

    def __init__(self) -> None:
        self._former: Counter[K] = Counter()
        """What former lives have counted."""
        self._latest: dict[K, int] = {}
        self._life: int | None = None

    def accumulate(self, counted: Mapping[K, int], life: int) -> Counter[K]:
        """Everything that was ever counted; `life` tells one Envoy from the next."""
        if life != self._life:
            self._former.update(self._latest)
            self._latest, self._life = {}, life
        self._latest.update(counted)
        total = Counter(self._former)
        total.update(self._latest)
        return total


class Totals:
    """The readings of one Envoy over all its lives; `life` tells which one it is in."""

    def __init__(self, admin: Admin, life: Callable[[], int]) -> None:
        self._admin = admin
        self._life = life
        self._counters = Growing[Series]()
        self._growing_times = Growing[Timed]()
        self._times: Counter[Timed] = Counter()
        self._times_due = 0.0
        self._one_at_a_time = asyncio.Lock()

    async def poll(self) -> Readings:
        """How everything stands.  Raises EngineError while Envoy does not answer."""
        async with self._one_at_a_time:
            while True:
                life, now = self._life(), time.monotonic()
                due = now >= self._times_due
                latest = await readings.read(self._admin, times=due)
                if life == self._life():
                    break
            if due:
                self._times = self._growing_times.accumulate(latest.times, life)
                self._times_due = now + _TIMES_SECONDS
            return replace(latest, counters=self._counters.accumulate(latest.counters, life), times=self._times)


class _Step(NamedTuple, Generic[K]):
    start: float
    end: float
    increase: Counter[K]


class Window(Generic[K]):
    """The increases of the last `seconds`, added up."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._steps: deque[_Step[K]] = deque()
        self.total: Counter[K] = Counter()

    def add(self, start: float, end: float, increase: Counter[K]) -> None:
        """What was counted from `start` to `end`, in seconds of a clock that only grows."""
        self._steps.append(_Step(start, end, Counter(increase)))
        self.total.update(increase)
        while self._steps and self._steps[0].end <= end - self._seconds:
            expired = self._steps.popleft().increase
            self.total.subtract(expired)
            for key in expired:
                if not self.total[key]:
                    del self.total[key]

    def forget(self, forgotten: Callable[[K], bool]) -> None:
        """Forgets what was counted of these, as after a move."""
        for counted in (self.total, *(step.increase for step in self._steps)):
            for key in [key for key in counted if forgotten(key)]:
                del counted[key]

    @property
    def span(self) -> float:
        """The seconds it covers; 0 while it is empty."""
        return self._steps[-1].end - self._steps[0].start if self._steps else 0.0


@dataclass
class Tally:
    """What counters say of one host of one model, of a whole model, or of a tenant."""

    requests: int = 0
    """Answered by the host; of a model those that no host answered as well."""
    server_errors: int = 0
    """Requests that ended in a 5xx, or in no answer or half of one."""
    client_errors: int = 0
    """Requests that ended in a 4xx."""
    attempts: int = 0
    failed_attempts: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    """Those of them that the host had kept from a prompt before."""
    output_tokens: int = 0

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def uncounted(self) -> bool:
        """Whether there were good answers, and nobody told how many tokens they took."""
        return self.requests > self.server_errors + self.client_errors and not self.tokens

    def count(self, series: Series, number: int) -> None:
        """Adds what one counter says."""
        if series.counter == statistics.REQUESTS:
            self.requests += number
            self.server_errors += number * readings.server_error(series.code)
            self.client_errors += number * readings.client_error(series.code)
        elif series.counter == statistics.ATTEMPTS:
            self.attempts += number
            self.failed_attempts += number * readings.failed_attempt(series.code)
        elif series.counter == statistics.INPUT_TOKENS:
            self.input_tokens += number
        elif series.counter == statistics.CACHED_TOKENS:
            self.cached_tokens += number
        elif series.counter == statistics.OUTPUT_TOKENS:
            self.output_tokens += number


def tallies(counters: Mapping[Series, int], group: Callable[[Series], G]) -> defaultdict[G, Tally]:
    """The counters of each group, added up."""
    sums: defaultdict[G, Tally] = defaultdict(Tally)
    for series, number in counters.items():
        sums[group(series)].count(series, number)
    return sums


def durations(times: Mapping[Timed, int]) -> defaultdict[tuple[str, str, str], Counter[Bin]]:
    """The bins by histogram, model and host; under an empty host those of all the model's hosts together."""
    sums: defaultdict[tuple[str, str, str], Counter[Bin]] = defaultdict(Counter)
    for timed, number in times.items():
        sums[timed.histogram, timed.model, ""][timed.bin] += number
        if timed.host:
            sums[timed.histogram, timed.model, timed.host][timed.bin] += number
    return sums
