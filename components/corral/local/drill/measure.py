"""What the record of a drill says in numbers.  Pure.

When a move became effective is told by the hosts.  A host whose share was 0 before, or is 0 after, tells it outright:
its first request, or its last.  Otherwise it is estimated: the place in the order of arrivals that makes them
likeliest, the old shares before it and the new ones after, and all places that are nearly as likely (within 2 units
of log likelihood, which is a confidence of some 95 %).

A drill second by second, for its plots.  Pure.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from corral.local.drill.record import Arrival, Request
from corral.local.drill.script import Shares
from corral.local.statistics.readings import Bin, quantile

CONFIDENCE = 0.999
"""Of the bounds of an observed share: a drill has dozens of them, and one that is outside is to mean something."""

_STRAY = 1e-4
"""The probability of a request at a host without a share: a second attempt can always happen."""

_NEARLY = 2.0
"""Units of log likelihood."""


@dataclass(frozen=True)
class Effective:
    """When requests began to follow an edit; seconds since it was saved."""

    after: float
    """The first request according to the new shares."""
    earliest: float
    latest: float
    last_of_old: float | None
    """The last request at a host that has no share any more; None: there is no such host."""


def effective(arrivals: Sequence[Arrival], saved: float, before: Shares, after: Shares) -> Effective | None:
    """From one model's arrivals around a save, in order of time; None where they do not tell that it took effect.

    Arrivals before the save count as such: the change cannot have come before.
    """
    since = [arrival for arrival in arrivals if arrival.at >= saved]
    if not since:
        return None
    scores = _scores([arrival.host for arrival in since], before, after)
    best = max(scores)
    likely = [place for place, score in enumerate(scores) if score >= best - _NEARLY]
    place = scores.index(best)
    if place == len(since):
        return None
    gone = [arrival.at - saved for arrival in since if before.get(arrival.host) and not after.get(arrival.host)]
    drained = any(share and not after.get(host) for host, share in before.items())
    return Effective(
        after=since[place].at - saved,
        earliest=since[likely[0]].at - saved,
        latest=since[min(likely[-1], len(since) - 1)].at - saved,
        last_of_old=max(gone, default=0.0) if drained else None,
    )


def _scores(hosts: Sequence[str], before: Shares, after: Shares) -> list[float]:
    """Per place the log likelihood that the requests from there on follow the new shares, those before it the old."""
    odds = [math.log(_chance(before, host) / _chance(after, host)) for host in hosts]
    scores = [0.0]
    for odd in odds:
        scores.append(scores[-1] + odd)
    return scores


def _chance(shares: Shares, host: str) -> float:
    return max(shares.get(host, 0) / 100, _STRAY)


@dataclass(frozen=True)
class Share:
    """A host's share as declared and as its requests show it; percent."""

    declared: int
    requests: int
    observed: float
    low: float
    """The bounds within which the true share lies, at the confidence of this module (Wilson's interval)."""
    high: float
    error: float
    """Observed less declared."""
    holds: bool
    """Whether the declared share is within the bounds."""


def shares(counts: Mapping[str, int], declared: Shares) -> dict[str, Share]:
    """Per host of the declaration; counts of other hosts count for the total."""
    total = sum(counts.values())
    return {host: _share(counts.get(host, 0), total, share) for host, share in declared.items()} if total else {}


def _share(requests: int, total: int, declared: int) -> Share:
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    ratio = requests / total
    scale = 1 + z * z / total
    middle = (ratio + z * z / (2 * total)) / scale
    reach = z / scale * math.sqrt(ratio * (1 - ratio) / total + z * z / (4 * total * total))
    low = 100 * min(ratio, max(0.0, middle - reach))
    high = 100 * max(ratio, min(1.0, middle + reach))
    return Share(declared, requests, 100 * ratio, low, high, 100 * ratio - declared, low <= declared <= high)


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
    waits: dict[int, Counter[Bin]] = {}
    lost: Counter[int] = Counter()
    for request in requests:
        second = waits.setdefault(int(request.sent), Counter())
        if (waited := wait(request)) is not None:
            second[Bin(1000 * waited)] += 1
        lost[int(request.sent)] += request.outcome == "lost"
    if not waits:
        return ()
    return tuple(
        Second(
            at,
            {model: dict(hosts) for model, hosts in answered.get(at, {}).items()},
            dict(failed.get(at, {})),
            quantile(waits.get(at, {}), 0.5),
            quantile(waits.get(at, {}), 0.99),
            lost[at],
        )
        for at in range(min(waits), max(waits) + 1)
    )
