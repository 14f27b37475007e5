"""Counters that never go backwards, although an Envoy that was started again counts from 0.

What an Envoy has counted between the last look at it and its death is lost.
"""

from __future__ import annotations

from collections import defaultdict

from components.metrics.samples import Numbers, Sample


class Totals:
    """The sums over all lives of one Envoy."""

    def __init__(self) -> None:
        self._before: defaultdict[Sample, float] = defaultdict(float)
        """What former lives have counted."""
        self._seen: Numbers = {}
        self._life: int | None = None

    def look(self, now: Numbers, life: int) -> Numbers:
        """The totals, of everything that was ever counted; `life` tells one Envoy from the next."""
        if life != self._life:
            for sample, number in self._seen.items():
                self._before[sample] += number
            self._seen, self._life = {}, life
        self._seen |= now
        return {
            sample: self._before.get(sample, 0) + self._seen.get(sample, 0) for sample in {**self._before, **self._seen}
        }
