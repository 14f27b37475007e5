"""The metrics of a run of `corral serve`, in Prometheus's text format, or in OpenMetrics where it is asked for.

`docs/usage.md` has the table of them.  All have the label `stack`.  `tenant` is `-` where nobody was asked, or the
caller is unknown; `model` is empty for a request that asked for none that there is, `host` where none answered; `code`
is 0 where the answer never came, or did not come whole.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from corral.local.budgets import BudgetStatus
from corral.local.envoy import statistics
from corral.local.statistics.cost import DOLLAR, MICRO_DOLLAR, Payer, Spending, tariff
from corral.local.statistics.readings import Bin, Readings
from corral.local.statistics.status import Reload
from corral.local.statistics.totals import Totals
from corral.plan.plan import Plan
from corral.plan.trace import trace

Labels = tuple[str, ...]

_HOST = ("model", "host")
_PAYER = ("tenant", *_HOST)
_BUDGET = ("tenant", "window")
_TRACE = ("model", "plan", "commit")

_COUNTERS = (
    ("corral_requests", "Requests, by the host that answered.", statistics.REQUESTS, (*_PAYER, "code")),
    ("corral_attempts", "Attempts at a host, failed ones included.", statistics.ATTEMPTS, (*_HOST, "code")),
    ("corral_limited", "Requests refused by a limit.", statistics.LIMITED, ("tenant", "model", "limit")),
    ("corral_cached_tokens", "Tokens of prompts that hosts had kept.", statistics.CACHED_TOKENS, _PAYER),
    ("corral_reasoning_tokens", "Tokens of answers that were thoughts.", statistics.REASONING_TOKENS, _PAYER),
)
_COMPLETE = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_BEGUN = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Upper bounds of buckets.  A whole answer takes seconds to minutes; its first byte a fraction of a second, in which
people tell 150 from 300 ms.  Envoy's bins are of two significant digits: none has a bound within."""
_HISTOGRAMS = {
    statistics.DURATION: (
        "corral_request_duration_seconds",
        "Time until the answer was complete, retries included.",
        _COMPLETE,
    ),
    statistics.FIRST_BYTE: ("corral_first_byte_seconds", "Time until the answer began.", _BEGUN),
}

_MILLISECONDS = 1000
"""In a second: Envoy's histograms are in milliseconds."""


class Metrics:
    """The metrics of one run: what was counted, and what it cost by the plan that was in force."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals
        self._spending = Spending()

    async def collect(self, plan: Plan) -> Readings:
        """How everything stands; what was counted since the last time costs what `plan` says.  Raises EngineError."""
        readings = await self._totals.poll()
        self._spending.charge(readings.counters, tariff(plan))
        return readings

    async def expose(
        self, plan: Plan, last_reload: Reload, budgets: Sequence[BudgetStatus] = (), accept: str = ""
    ) -> tuple[bytes, str]:
        """The body and content type for Prometheus; `accept` is the header of its request.  Raises EngineError."""
        readings = await self.collect(plan)
        spending = self._spending
        now = Exposition(plan, readings, spending.cost.copy(), spending.unpriced.copy(), last_reload, budgets)
        return await asyncio.to_thread(expose, now, accept)


def expose(exposition: Exposition, accept: str = "") -> tuple[bytes, str]:
    """The body and its content type; `accept` is the request's header."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(exposition)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


@dataclass(frozen=True, eq=False)
class Exposition(Collector):
    """Everything that is exposed, as it is at one moment."""

    plan: Plan
    readings: Readings
    cost: Mapping[Payer, int]
    """In millionths of a micro-dollar."""
    unpriced: Mapping[Payer, int]
    last_reload: Reload
    budgets: Sequence[BudgetStatus] = ()

    def collect(self) -> Iterator[Metric]:
        """All of them, also those that have no values yet."""
        for name, text, counter, labels in _COUNTERS:
            yield self._counter(name, text, labels, self._sums(counter, labels))
        for histogram, (name, text, bounds) in _HISTOGRAMS.items():
            yield self._histogram(name, text, histogram, bounds)
        tokens = {
            (*payer, direction): number
            for counter, direction in ((statistics.INPUT_TOKENS, "input"), (statistics.OUTPUT_TOKENS, "output"))
            for payer, number in self._sums(counter, _PAYER).items()
        }
        yield self._counter("corral_tokens", "Tokens, as the hosts count them.", (*_PAYER, "direction"), tokens)
        dollars = {(tenant or "-", *where): cost / DOLLAR for (tenant, *where), cost in self.cost.items()}
        yield self._counter("corral_cost_dollars", "Cost of the tokens whose price is known.", _PAYER, dollars)
        unpriced = {(tenant or "-", *where): number for (tenant, *where), number in self.unpriced.items()}
        yield self._counter("corral_unpriced_tokens", "Tokens whose price is unknown.", _PAYER, unpriced)
        shares = {(model.name, target.host): target.share for model, target in self.plan.targets}
        yield self._gauge("corral_share_percent", "Declared share; 0 for fallbacks and drained hosts.", _HOST, shares)
        plans = {(model.name, *trace(model, self.plan).values()): 1 for model in self.plan.models}
        yield self._gauge("corral_plan_info", "The plan in force, and its commit.", _TRACE, plans)
        out = self.readings.ejected(self.plan)
        live = [(model.name, target.host) for model, target in self.plan.live]
        ejected = {host: host in out for host in live}
        yield self._gauge("corral_host_ejected", "Whether the host is left out for failing.", _HOST, ejected)
        yield self._gauge("corral_active_requests", "Requests under way.", (), {(): self.readings.active})
        waiting = {
            (model.name, target.host): self.readings.waiting.get((model.name, target.host), 0)
            for model, target in self.plan.live
            if target.overflow_wait
        }
        yield self._gauge("corral_waiting_requests", "Requests that wait for a host that is full.", _HOST, waiting)
        limits = {(each.tenant, each.window): each.limit / MICRO_DOLLAR for each in self.budgets}
        yield self._gauge("corral_budget_limit_dollars", "What a tenant may spend.", _BUDGET, limits)
        used = {(each.tenant, each.window): each.used / MICRO_DOLLAR for each in self.budgets}
        yield self._gauge(
            "corral_budget_used_dollars", "What it has spent, or could with what is under way.", _BUDGET, used
        )
        successful = {(): self.last_reload.problem is None}
        reload = "corral_config_last_reload"
        yield self._gauge(f"{reload}_successful", "Whether what the stack file holds is in force.", (), successful)
        moment = {(): self.last_reload.succeeded.timestamp()}
        yield self._gauge(f"{reload}_success_timestamp_seconds", "When it last was, since 1970.", (), moment)

    def _counter(self, name: str, text: str, labels: Labels, values: Mapping[Labels, float]) -> Metric:
        return self._filled(CounterMetricFamily(name, text, labels=("stack", *labels)), values)

    def _gauge(self, name: str, text: str, labels: Labels, values: Mapping[Labels, float]) -> Metric:
        return self._filled(GaugeMetricFamily(name, text, labels=("stack", *labels)), values)

    def _filled(self, family: CounterMetricFamily | GaugeMetricFamily, values: Mapping[Labels, float]) -> Metric:
        for labels, value in sorted(values.items()):
            family.add_metric((self.plan.stack, *labels), value)
        return family

    def _histogram(self, name: str, text: str, histogram: str, bounds: tuple[float, ...]) -> Metric:
        family = HistogramMetricFamily(name, text, labels=("stack", *_HOST))
        bins: defaultdict[Labels, list[tuple[Bin, int]]] = defaultdict(list)
        for timed, number in self.readings.times.items():
            if timed.histogram == histogram:
                bins[timed.model, timed.host].append((timed.bin, number))
        for labels, values in sorted(bins.items()):
            buckets = [
                (str(bound), sum(number for each, number in values if each.lower < bound * _MILLISECONDS))
                for bound in bounds
            ]
            buckets.append(("+Inf", sum(number for _, number in values)))
            total = sum(number * _middle(each) for each, number in values)
            family.add_metric((self.plan.stack, *labels), buckets, total / _MILLISECONDS)
        return family

    def _sums(self, counter: str, labels: Labels) -> Counter[Labels]:
        """The numbers of one counter, added up where they differ in other labels only."""
        sums: Counter[Labels] = Counter()
        for series, number in self.readings.counters.items():
            if series.counter == counter:
                tagged = series._replace(tenant=series.tenant or "-")
                sums[tuple(str(getattr(tagged, label)) for label in labels)] += number
        return sums


def _middle(values: Bin) -> float:
    """Where the values of a bin lie in the middle, as Envoy has it."""
    end = values.lower + values.width
    return values.lower + values.width * values.lower / (values.lower + end) if end else 0.0
