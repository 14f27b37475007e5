"""Declared beside observed: what the plan says, and what Envoy has counted."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from corral.local.admin import Admin
from corral.local.envoy import statistics
from corral.local.envoy.names import link_name
from corral.plan.failover import RETRIED_STATUS
from corral.plan.plan import ModelPlan, Plan

Series = tuple[str, str, int]
"""Model, host and HTTP status; host is empty where none answered, status 0 where the answer never came."""

_COUNTED = re.compile(rf"{statistics.PREFIX}\.(\w+)(?:\.tenant\..*?)?\.model\.(.*)\.host\.(.*)\.code\.(\d+)")
_TIMED = re.compile(rf"{statistics.PREFIX}\.{statistics.DURATION}\.model\.(.*)\.host\.(.*)")


def failed(code: int) -> bool:
    """Whether an attempt that ended so was the host's failure, and went on to another host where there was one."""
    return code == 0 or code >= 500 or code in RETRIED_STATUS


@dataclass(frozen=True)
class Counts:
    """Envoy's counters at one moment."""

    requests: Counter[Series]
    attempts: Counter[Series]
    quantiles: Mapping[tuple[str, str], Mapping[float, float]]
    """Per model and host: quantile (50, 99) to milliseconds."""

    def since(self, before: Counts) -> Counts:
        """What came after `before`.  An Envoy that was started again counts from 0."""

        def difference(now: Counter[Series], then: Counter[Series]) -> Counter[Series]:
            again = any(now[series] < count for series, count in then.items())
            return now if again else now - then

        return Counts(
            difference(self.requests, before.requests), difference(self.attempts, before.attempts), self.quantiles
        )


NOTHING = Counts(Counter(), Counter(), {})


def _quantiles(entries: Iterable[dict[str, Any]]) -> dict[tuple[str, str], dict[float, float]]:
    found: dict[tuple[str, str], dict[float, float]] = {}
    for entry in entries:
        histograms = entry.get("histograms")
        if not histograms:
            continue
        supported = histograms["supported_quantiles"]
        for histogram in histograms["computed_quantiles"]:
            match = _TIMED.fullmatch(histogram["name"])
            if match:
                found[match[1], match[2]] = {
                    quantile: value["interval"] if value["interval"] is not None else value["cumulative"]
                    for quantile, value in zip(supported, histogram["values"], strict=False)
                    if value["cumulative"] is not None
                }
    return found


async def count(admin: Admin) -> Counts:
    """Reads Envoy's counters."""
    entries = await admin.stats(rf"^{statistics.PREFIX}\.")
    counters: dict[str, Counter[Series]] = {statistics.REQUESTS: Counter(), statistics.ATTEMPTS: Counter()}
    for entry in entries:
        match = _COUNTED.fullmatch(entry.get("name", ""))
        if match and match[1] in counters:
            counters[match[1]][match[2], match[3], int(match[4])] += entry["value"]
    return Counts(counters[statistics.REQUESTS], counters[statistics.ATTEMPTS], _quantiles(entries))


@dataclass(frozen=True)
class HostStatus:
    """One host of one model."""

    host: str
    role: Literal["share", "fallback", "drained"]
    declared: int
    """Percent."""
    observed: float | None
    """Percent of the requests that a host answered; None: there were none."""
    requests: int
    """Requests it answered."""
    attempts: int
    failures: int
    """Attempts that failed and went elsewhere, if there was another host."""
    p50: float | None
    """Milliseconds until the answer was complete."""
    p99: float | None
    healthy: bool
    """False while it is left out for failing."""
    simulated: str | None
    """Why it is simulated; None: it is the real host."""


@dataclass(frozen=True)
class ModelStatus:
    """One model."""

    model: str
    requests: int
    errors: int
    """Requests that ended in a 5xx, or in none at all: what clients have lost."""
    hosts: tuple[HostStatus, ...]


def _sum(counter: Counter[Series], model: str, host: str | None, wanted: bool | None = None) -> int:
    return sum(
        number
        for (of_model, of_host, code), number in counter.items()
        if of_model == model and (host is None or of_host == host) and (wanted is None or failed(code) == wanted)
    )


def _model_status(
    model: ModelPlan, counts: Counts, unhealthy: set[tuple[str, str]], simulated: Mapping[str, str | None]
) -> ModelStatus:
    answered = sum(number for (of, host, _), number in counts.requests.items() if of == model.name and host)
    hosts: list[HostStatus] = []
    for target in model.targets:
        requests = _sum(counts.requests, model.name, target.host)
        quantiles = counts.quantiles.get((model.name, target.host), {})
        hosts.append(
            HostStatus(
                host=target.host,
                role=target.role,
                declared=target.share,
                observed=100 * requests / answered if answered else None,
                requests=requests,
                attempts=_sum(counts.attempts, model.name, target.host),
                failures=_sum(counts.attempts, model.name, target.host, wanted=True),
                p50=quantiles.get(50),
                p99=quantiles.get(99),
                healthy=(link_name(model.name, target.priority), target.host) not in unhealthy,
                simulated=simulated.get(target.host),
            )
        )
    lost = sum(n for (of, _, code), n in counts.requests.items() if of == model.name and (code == 0 or code >= 500))
    return ModelStatus(model.name, _sum(counts.requests, model.name, None), lost, tuple(hosts))


def status(
    plan: Plan, counts: Counts, unhealthy: set[tuple[str, str]], simulated: Mapping[str, str | None]
) -> tuple[ModelStatus, ...]:
    """The status of every model; `unhealthy` are pairs of cluster and host, `simulated` is by host."""
    requests, attempts = _by_model(counts.requests), _by_model(counts.attempts)
    return tuple(
        _model_status(model, Counts(requests[model.name], attempts[model.name], counts.quantiles), unhealthy, simulated)
        for model in plan.models
    )


def _by_model(counter: Counter[Series]) -> defaultdict[str, Counter[Series]]:
    """The series of each model, so that none is looked for among those of all."""
    found: defaultdict[str, Counter[Series]] = defaultdict(Counter)
    for series, number in counter.items():
        found[series[0]][series] = number
    return found
