"""Counters added up, in the words of the page: by model and host, by tenant, by limit.

Sums over the last seconds: what was counted lately, of all that was counted.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from corral.local.envoy import statistics
from corral.local.statistics.readings import Key, Span, Timed
from corral.local.statistics.status import failed

DURATION, FIRST_BYTE = statistics.DURATION, statistics.FIRST_BYTE


@dataclass
class Tally:
    """Of one host of one model, of a whole model, or of a tenant."""

    requests: int = 0
    """Answered by the host; of a model those that no host answered as well."""
    lost: int = 0
    """Requests that ended in a 5xx, or in no answer at all."""
    errors: int = 0
    """The same, and those that ended in a 4xx."""
    attempts: int = 0
    failures: int = 0
    """Attempts that failed."""
    input: int = 0
    output: int = 0
    """Tokens."""

    @property
    def uncounted(self) -> bool:
        """Whether there were answers, and nobody told how many tokens they took."""
        return self.requests > self.errors and not (self.input or self.output)

    def count(self, key: Key, number: int) -> None:
        """Adds what one counter says."""
        match key.counter:
            case statistics.REQUESTS:
                self.requests += number
                self.lost += number if key.code == 0 or key.code >= 500 else 0
                self.errors += number if key.code == 0 or key.code >= 400 else 0
            case statistics.ATTEMPTS:
                self.attempts += number
                self.failures += number if failed(key.code) else 0
            case statistics.INPUT_TOKENS:
                self.input += number
            case statistics.OUTPUT_TOKENS:
                self.output += number
            case _:
                pass

    def add(self, other: Tally) -> None:
        self.requests += other.requests
        self.lost += other.lost
        self.errors += other.errors
        self.attempts += other.attempts
        self.failures += other.failures
        self.input += other.input
        self.output += other.output


def whole(parts: Iterable[Tally]) -> Tally:
    """All of them together."""
    sum_of_all = Tally()
    for part in parts:
        sum_of_all.add(part)
    return sum_of_all


def tally(total: Mapping[Key, int]) -> dict[str, dict[str, Tally]]:
    """By model and host; the host is empty for what none answered."""
    found: defaultdict[str, dict[str, Tally]] = defaultdict(dict)
    for key, number in total.items():
        found[key.model].setdefault(key.host, Tally()).count(key, number)
    return dict(found)


def tally_of_tenants(total: Mapping[Key, int]) -> dict[str, dict[tuple[str, str], Tally]]:
    """By tenant, then by model and host; attempts are nobody's."""
    found: defaultdict[str, dict[tuple[str, str], Tally]] = defaultdict(dict)
    for key, number in total.items():
        if key.tenant:
            found[key.tenant].setdefault((key.model, key.host), Tally()).count(key, number)
    return dict(found)


def limited(total: Mapping[Key, int]) -> dict[str, Counter[str]]:
    """By tenant, the requests that each of its limits has refused."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for key, number in total.items():
        if key.counter == statistics.LIMITED:
            found[key.tenant][key.limit] += number
    return dict(found)


def timings(total: Mapping[Timed, int]) -> dict[tuple[str, str, str], Counter[Span]]:
    """The bins by histogram, model and host; under an empty host those of all the model's hosts together."""
    found: defaultdict[tuple[str, str, str], Counter[Span]] = defaultdict(Counter)
    for timed, number in total.items():
        found[timed.histogram, timed.model, ""][timed.span] += number
        if timed.host:
            found[timed.histogram, timed.model, timed.host][timed.span] += number
    return dict(found)


K = TypeVar("K")


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
            gone = self._steps.popleft()
            self.total.subtract(gone.increase)
            for key in gone.increase:
                if not self.total[key]:
                    del self.total[key]

    def forget(self, gone: Callable[[K], bool]) -> None:
        """Forgets what was counted of these, as after a move."""
        for step in self._steps:
            for key in [key for key in step.increase if gone(key)]:
                del step.increase[key]
        for key in [key for key in self.total if gone(key)]:
            del self.total[key]

    @property
    def span(self) -> float:
        """The seconds it covers; 0 while it is empty."""
        return self._steps[-1].end - self._steps[0].start if self._steps else 0.0
