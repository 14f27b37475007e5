"""Reads the numbers that Envoy's admin interface gives in Prometheus's text format.

Envoy names the tags of a statistic there, so that a model may have any name; in the other formats the tags are parts of
one dotted name.

Counters that never go backwards, although an Envoy that was started again counts from 0.

What an Envoy has counted between the last look at it and its death is lost.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import NamedTuple

_PREFIX = "envoy_"
_SAMPLE = re.compile(rf"{_PREFIX}(\w+)\{{(.*)\}} (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


class Sample(NamedTuple):
    """What one number is of."""

    name: str
    """Without the prefix that Envoy gives to every name: `corral_requests`, `corral_duration_bucket`."""
    labels: tuple[tuple[str, str], ...]
    """In Envoy's order."""

    def label(self, name: str) -> str:
        """Its value; empty where it has no such label."""
        return next((value for key, value in self.labels if key == name), "")


Numbers = dict[Sample, float]


def read(text: str) -> Numbers:
    """Every number of the text."""
    return {
        Sample(found[1], tuple((label[1], _plain(label[2])) for label in _LABEL.finditer(found[2]))): float(found[3])
        for found in _SAMPLE.finditer(text)
    }


def _plain(value: str) -> str:
    return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], value) if "\\" in value else value


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
