"""Counters added up by model and host, in the words of the page."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from components.embedded.readings import Key, Span, Timed
from components.embedded.status import failed
from components.render.envoy import statistics

DURATION, FIRST_BYTE = statistics.DURATION, "first_byte"
INPUT, OUTPUT = "input_tokens", "output_tokens"


@dataclass
class Tally:
    """Of one host of one model, or of a whole model."""

    requests: int = 0
    """Answered by the host; of a model those that no host answered as well."""
    lost: int = 0
    """Requests that ended in a 5xx, or in no answer at all."""
    attempts: int = 0
    failures: int = 0
    """Attempts that failed."""
    input: int = 0
    output: int = 0
    """Tokens."""

    def add(self, other: Tally) -> None:
        self.requests += other.requests
        self.lost += other.lost
        self.attempts += other.attempts
        self.failures += other.failures
        self.input += other.input
        self.output += other.output


def tally(total: Mapping[Key, int]) -> dict[str, dict[str, Tally]]:
    """By model and host; the host is empty for what none answered."""
    found: defaultdict[str, dict[str, Tally]] = defaultdict(dict)
    for key, number in total.items():
        of = found[key.model].setdefault(key.host, Tally())
        if key.counter == statistics.REQUESTS:
            of.requests += number
            of.lost += number if key.code == 0 or key.code >= 500 else 0
        elif key.counter == statistics.ATTEMPTS:
            of.attempts += number
            of.failures += number if failed(key.code) else 0
        elif key.counter == INPUT:
            of.input += number
        elif key.counter == OUTPUT:
            of.output += number
    return dict(found)


def timings(total: Mapping[Timed, int]) -> dict[tuple[str, str, str], Counter[Span]]:
    """The bins by histogram, model and host; under an empty host those of all the model's hosts together."""
    found: defaultdict[tuple[str, str, str], Counter[Span]] = defaultdict(Counter)
    for timed, number in total.items():
        found[timed.histogram, timed.model, ""][timed.span] += number
        if timed.host:
            found[timed.histogram, timed.model, timed.host][timed.span] += number
    return dict(found)
