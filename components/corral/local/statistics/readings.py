"""The module's statistics, read from Envoy's admin interface in this one place: counters, times, who is ejected.

Policy.  One format serves all who want numbers: JSON, in which histograms keep their bins.  There the tags are parts of
a statistic's name, `corral.requests.tenant.<tenant>.model.<model>.host.<host>.code.<code>.end.<end>`.  Of these names
only a model's may hold a dot, so that a statistic's is read from both its ends.

What is a failure is said here for all screens.  An answer that began well and then broke off, or was an error, counts
with the code 0, as one that never came.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

from corral.local.admin import Admin
from corral.local.envoy import statistics
from corral.local.envoy.names import GATEWAY
from corral.plan.failover import RETRIED_STATUS
from corral.plan.plan import Plan


class Series(NamedTuple):
    """What a counter is tagged with; an empty text: it has no such tag, or nothing is known of it."""

    counter: str
    model: str
    host: str = ""
    code: int = 0
    """HTTP status; 0 where the answer never came, or did not come whole."""
    tenant: str = ""
    limit: str = ""
    """That refused a request: `requests` or `tokens` of a minute, `concurrent`, or `budget`."""


class Bin(NamedTuple):
    """A bin of a histogram, in the histogram's unit; without a width it is one value."""

    lower: float
    width: float = 0.0


class Timed(NamedTuple):
    """One bin of one histogram; milliseconds."""

    histogram: str
    model: str
    host: str
    bin: Bin


@dataclass(frozen=True)
class Readings:
    """The statistics at one moment.  Counters and times only grow."""

    counters: Counter[Series] = field(default_factory=Counter[Series])
    times: Counter[Timed] = field(default_factory=Counter[Timed])
    active: int = 0
    """Requests under way."""
    active_of_tenants: Mapping[str, int] = field(default_factory=dict[str, int])
    """Of those tenants that have a limit on them and have called."""
    waiting: Mapping[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    """Requests that wait for a host that is full, by model and host."""
    left_out: frozenset[tuple[str, str]] = frozenset()
    """Pairs of a model and a host that gets none of its requests, for it has failed."""

    def since(self, before: Readings) -> Readings:
        """What was counted after `before`; the rest is as of now."""
        times = Counter[Timed]() if self.times is before.times else self.times - before.times
        return replace(self, counters=self.counters - before.counters, times=times)

    def ejected(self, plan: Plan) -> frozenset[tuple[str, str]]:
        """Those of them that the plan has."""
        return (
            self.left_out & {(model.name, target.host) for model, target in plan.live} if self.left_out else frozenset()
        )


_UNFINISHED = frozenset(("LR", "SI", "UC", "UF", "UPE", "UR", "UT"))
"""Envoy's flags of an answer that its host has not finished.  Those of a client that left (`DC`) are not among them."""


def result(status: int, flags: str | None, failure: str | None) -> int:
    """The code that a request, or an attempt, counts with: its status, or 0 if the answer that began was none.

    `flags` are Envoy's, with commas; `failure` is what the gateway has found in the answer; of either `-` is none.
    """
    if status >= 400:
        return status
    broken = (failure or "-") != "-" or not _UNFINISHED.isdisjoint((flags or "").split(","))
    return 0 if broken else status


def server_error(code: int) -> bool:
    """Whether a request that ended so is lost: by a fault of ours or of a host, or without any answer."""
    return code == 0 or code >= 500


def client_error(code: int) -> bool:
    """Whether a request was refused for what its client did."""
    return 400 <= code < 500


def failed_attempt(code: int) -> bool:
    """Whether an attempt that ended so was the host's failure, and went on to another host where there was one."""
    return server_error(code) or code in RETRIED_STATUS


_NAME = re.compile(
    rf"{statistics.PREFIX}\.(?P<counter>\w+)(?:\.tenant\.(?P<tenant>[^.]*))?\.model\.(?P<model>.*)"
    r"(?:\.host\.(?P<host>[^.]*)(?:\.code\.(?P<code>\d+)(?:\.end\.(?P<flags>[^./]*)/(?P<failure>[^.]*))?)?|\.limit\.(?P<limit>\w+))"
)
_EJECTED_UNTIL = f"{statistics.PREFIX}.{statistics.EJECTED_UNTIL}."
_WAITING = f"{statistics.PREFIX}.{statistics.WAITING}."
_ACTIVE = f"http.{GATEWAY}.downstream_rq_active"
_ACTIVE_OF_TENANT = f"{statistics.PREFIX}.{statistics.ACTIVE}.tenant."


@lru_cache(maxsize=1 << 16)
def series_of(name: str) -> Series | None:
    """What a statistic's name says; None: it is not one of Corral's.  A route that is no model's has a space in it."""
    match = _NAME.fullmatch(name)
    if not match:
        return None
    model, host, tenant, limit = (
        value if value and value != "-" else "" for value in match.group("model", "host", "tenant", "limit")
    )
    code = result(int(match["code"] or 0), match["flags"], match["failure"])
    return Series(match["counter"], "" if " " in model else model, host, code, tenant, limit)


def parse(entries: Iterable[dict[str, Any]], now: int) -> Readings:
    """Takes what is wanted from the entries of Envoy's `/corral`; `now` is in milliseconds since 1970."""
    counters: Counter[Series] = Counter()
    times: Counter[Timed] = Counter()
    active = 0
    active_of_tenants: dict[str, int] = {}
    waiting: dict[tuple[str, str], int] = {}
    left_out: set[tuple[str, str]] = set()
    for entry in entries:
        name: str = entry.get("name", "")
        if name == _ACTIVE:
            active = entry["value"]
        elif name.startswith(_ACTIVE_OF_TENANT):
            active_of_tenants[name.removeprefix(_ACTIVE_OF_TENANT)] = entry["value"]
        elif name.startswith(_WAITING) and (series := series_of(name)):
            waiting[series.model, series.host] = entry["value"]
        elif name.startswith(_EJECTED_UNTIL):
            if entry["value"] > now and (series := series_of(name)):
                left_out.add((series.model, series.host))
        elif series := series_of(name):
            counters[series] += entry["value"]
        for histogram in entry.get("histograms", {}).get("details", ()):
            if series := series_of(histogram["name"]):
                for each in histogram["totals"]:
                    of = Bin(each["lower_bound"], each["width"])
                    times[Timed(series.counter, series.model, series.host, of)] += each["count"]
    return Readings(counters, times, active, active_of_tenants, waiting, frozenset(left_out))


async def read(admin: Admin, *, times: bool) -> Readings:
    """Everything as it stands, without the histograms unless `times` are wanted.  Raises EngineError."""
    return parse(await admin.counted(times=times), time.time_ns() // 1_000_000)


def quantile(values: Mapping[Bin, int], part: float) -> float | None:
    """The value under which `part` (0 to 1) of the values lie, evenly spread within a bin; None: there are none."""
    filled = sorted((each, number) for each, number in values.items() if number > 0)
    wanted = part * sum(number for _, number in filled)
    seen = 0
    for each, number in filled:
        if seen + number >= wanted:
            return each.lower + each.width * (wanted - seen) / number
        seen += number
    return None
