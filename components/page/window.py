"""Sums over the last seconds: what was counted lately, of all that was counted."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

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
