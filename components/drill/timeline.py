"""A drill second by second, for its plots.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from components.drill.measure import quantile
from components.drill.record import Arrival, Request


@dataclass(frozen=True)
class Second:
    """One second of it."""

    at: int
    """Seconds since the start."""
    answered: Mapping[str, Mapping[str, int]]
    """Per model and host the requests that arrived there, and were answered."""
    failed: Mapping[str, int]
    """Per host the attempts that it did not answer."""
    half: float | None
    """Milliseconds until an answer began, of the requests that were sent in this second: half of them, and 99 %."""
    most: float | None
    lost: int


def timeline(
    requests: Iterable[Request], arrivals: Iterable[Arrival], wait: Callable[[Request], float | None]
) -> tuple[Second, ...]:
    """Every second from the first to the last request; `wait` gives the seconds until an answer began, or None."""
    answered: dict[int, dict[str, Counter[str]]] = {}
    failed: dict[int, Counter[str]] = {}
    for arrival in arrivals:
        if arrival.status == 200:
            of_second = answered.setdefault(int(arrival.at), {})
            of_second.setdefault(arrival.model, Counter())[arrival.host] += 1
        else:
            failed.setdefault(int(arrival.at), Counter())[arrival.host] += 1
    waits: dict[int, list[float]] = {}
    lost: Counter[int] = Counter()
    for request in requests:
        second = waits.setdefault(int(request.sent), [])
        if (waited := wait(request)) is not None:
            second.append(1000 * waited)
        lost[int(request.sent)] += request.outcome == "lost"
    if not waits:
        return ()
    return tuple(
        Second(
            at,
            {model: dict(hosts) for model, hosts in answered.get(at, {}).items()},
            dict(failed.get(at, {})),
            quantile(waits.get(at, []), 0.5),
            quantile(waits.get(at, []), 0.99),
            lost[at],
        )
        for at in range(min(waits), max(waits) + 1)
    )
