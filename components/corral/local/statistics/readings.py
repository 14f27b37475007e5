"""What Envoy has counted at one moment, each number by what it is tagged with.

Quantiles of histograms that Envoy keeps in bins, added up over hosts and time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from corral.local.admin import Admin
from corral.local.envoy import statistics
from corral.local.envoy.names import GATEWAY

K = TypeVar("K")


class Key(NamedTuple):
    """What a number is tagged with; an empty text: it has no such tag, or nothing is known of it."""

    counter: str
    model: str
    host: str = ""
    code: int = 0
    """HTTP status; 0 where the answer never came."""
    tenant: str = ""
    limit: str = ""
    """That refused a request: `requests` or `tokens` of a minute, or `concurrent`."""


class Span(NamedTuple):
    """A bin of a histogram, in the histogram's unit."""

    lower: float
    width: float


class Timed(NamedTuple):
    """One bin of one histogram."""

    histogram: str
    model: str
    host: str
    span: Span


_NAME = re.compile(
    rf"{statistics.PREFIX}\.(?P<counter>\w+)(?:\.tenant\.(?P<tenant>[^.]*))?\.model\.(?P<model>.*?)"
    r"(?:\.host\.(?P<host>.*?))?(?:\.code\.(?P<code>\d+))?(?:\.limit\.(?P<limit>\w+))?"
)
_OUT = r"\.outlier_detection\.ejections_active$"
_UNDER_WAY = f"http.{GATEWAY}.lua.{statistics.PREFIX}.{statistics.ACTIVE}."


@lru_cache(maxsize=1 << 16)
def key_of(name: str) -> Key | None:
    """What a statistic's name says; None: it is not one of Corral's."""
    match = _NAME.fullmatch(name)
    if not match:
        return None
    model, host, tenant, limit = (
        value if value and value != "-" else "" for value in match.group("model", "host", "tenant", "limit")
    )
    return Key(match["counter"], model, host, int(match["code"] or 0), tenant, limit)


def counters(entries: Iterable[dict[str, Any]]) -> Counter[Key]:
    """The counters among the statistics of Envoy's admin interface."""
    found: Counter[Key] = Counter()
    for entry in entries:
        key = key_of(entry.get("name", ""))
        if key:
            found[key] += entry["value"]
    return found


def bins(details: Iterable[dict[str, Any]]) -> Counter[Timed]:
    """The bins of detailed histograms, each with the number of values that fell into it."""
    found: Counter[Timed] = Counter()
    for histogram in details:
        key = key_of(histogram["name"])
        if key:
            for each in histogram["totals"]:
                span = Span(each["lower_bound"], each["width"])
                found[Timed(key.counter, key.model, key.host, span)] += each["count"]
    return found


async def read_counters(admin: Admin) -> Counter[Key]:
    """Corral's counters as they stand.  Raises EngineError."""
    return counters(await admin.stats(rf"^{statistics.PREFIX}\.", "Counters"))


async def read_times(admin: Admin) -> Counter[Timed]:
    """Corral's histograms as they stand; Envoy brings them up to date every five seconds.  Raises EngineError."""
    return bins(await admin.histograms(rf"^{statistics.PREFIX}\."))


async def read_under_way(admin: Admin) -> dict[str, int]:
    """The requests under way of each tenant that has a limit on them and has called.  Raises EngineError."""
    entries = await admin.stats(f"^{re.escape(_UNDER_WAY)}", "Counters", used=True)
    return {entry["name"].removeprefix(_UNDER_WAY): entry["value"] for entry in entries}


async def left_out(admin: Admin) -> set[tuple[str, str]]:
    """The members left out at the moment: pairs of cluster and member.  Raises EngineError.

    The clusters are asked for only where a gauge says that there is one: of a thousand models they are megabytes.
    """
    gauges = await admin.stats(_OUT, "Gauges", used=True)
    return await admin.unhealthy() if any(entry.get("value") for entry in gauges) else set()


def increase(before: Counter[K], now: Counter[K]) -> Counter[K]:
    """What was counted between two readings.  An Envoy that was started again counts from 0."""
    return now if any(now[key] < number for key, number in before.items()) else now - before


def quantile(bins: Mapping[Span, int], part: float) -> float | None:
    """The value under which `part` (0 to 1) of the values lie, evenly spread within a bin; None: there are none."""
    filled = sorted((span, number) for span, number in bins.items() if number > 0)
    wanted = part * sum(number for _, number in filled)
    seen = 0
    for span, number in filled:
        if seen + number >= wanted:
            return span.lower + span.width * (wanted - seen) / number
        seen += number
    return None
