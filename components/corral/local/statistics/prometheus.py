"""The metrics of a run of `corral serve`, in Prometheus's text format, or in OpenMetrics where it is asked for.

    corral_requests_total{tenant,model,host,code}         one for each request; `host` is the one that answered
    corral_request_duration_seconds{model,host}           until the answer was complete, retries included
    corral_first_byte_seconds{model,host}                 until the answer began
    corral_attempts_total{model,host,code}                one for each attempt at a host, failed ones included
    corral_tokens_total{tenant,model,host,direction}      `input` or `output`
    corral_cost_dollars_total{tenant,model,host}          of the tokens whose price is known
    corral_unpriced_tokens_total{tenant,model,host}       tokens whose price is unknown
    corral_limited_total{tenant,model,limit}              requests refused by a limit
    corral_share_percent{model,host}                      as declared; 0 for fallbacks and drained hosts
    corral_host_ejected{model,host}                       1 while it is left out for failing
    corral_active_requests                                under way

All have the label `stack`.  `tenant` is `-` where nobody was asked, or the caller is unknown; `model` is empty for a
request that asked for none that there is, `host` where none answered; `code` is 0 where the answer never came.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from corral.local.envoy.statistics import (
    ATTEMPTS,
    DURATION,
    FIRST_BYTE,
    INPUT_TOKENS,
    LIMITED,
    OUTPUT_TOKENS,
    REQUESTS,
)
from corral.local.statistics.cost import DOLLAR, Payer, Spending, tariff
from corral.local.statistics.readings import Bin, Readings
from corral.local.statistics.totals import Totals
from corral.plan.plan import Plan

Labels = tuple[str, ...]

_WHERE = ("model", "host")
_PAYER = ("tenant", *_WHERE)

_COUNTERS = (
    ("corral_requests", "Requests, by the host that answered.", REQUESTS, (*_PAYER, "code")),
    ("corral_attempts", "Attempts at a host, failed ones included.", ATTEMPTS, (*_WHERE, "code")),
    ("corral_limited", "Requests refused by a limit.", LIMITED, ("tenant", "model", "limit")),
)
_HISTOGRAMS = (
    (
        *("corral_request_duration_seconds", "Time until the answer was complete, retries included.", DURATION),
        (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0),
    ),
    (
        *("corral_first_byte_seconds", "Time until the answer began.", FIRST_BYTE),
        (
            *(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75),
            *(1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 120.0),
        ),
    ),
)
"""With the upper bounds of the buckets.  A whole answer takes seconds to minutes; its first byte a fraction of one, in
which people tell 150 from 300 ms.  Envoy's bins are of two significant digits: none has a bound within.
"""

_MILLISECONDS = 1000
"""In a second: Envoy's histograms are in milliseconds."""


class Metrics:
    """The metrics of one run: what was counted, and what it cost by the plan that was in force."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals
        self._spending = Spending()

    async def collect(self, plan: Plan) -> Readings:
        """How everything stands; what was counted since the last time costs what `plan` says.  Raises EngineError."""
        readings = await self._totals.observe()
        self._spending.observe(readings.counters, tariff(plan))
        return readings

    async def expose(self, plan: Plan, accept: str = "") -> tuple[bytes, str]:
        """The body and content type for Prometheus; `accept` is the header of its request.  Raises EngineError."""
        readings = await self.collect(plan)
        cost, unpriced = self._spending.cost.copy(), self._spending.unpriced.copy()
        return await asyncio.to_thread(expose, plan, readings, cost, unpriced, accept)


def expose(
    plan: Plan, readings: Readings, cost: Mapping[Payer, int], unpriced: Mapping[Payer, int], accept: str = ""
) -> tuple[bytes, str]:
    """The body and its content type; costs are in millionths of a micro-dollar, `accept` is the request's header."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Exposition(plan, readings, cost, unpriced))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Exposition(Collector):
    """Everything that is exposed, as it is at one moment."""

    def __init__(
        self, plan: Plan, readings: Readings, cost: Mapping[Payer, int], unpriced: Mapping[Payer, int]
    ) -> None:
        self._plan = plan
        self._readings = readings
        self._cost = cost
        self._unpriced = unpriced

    def collect(self) -> Iterator[Metric]:
        """All of them, also those that have no values yet."""
        for name, text, counter, labels in _COUNTERS:
            yield self._counter(name, text, labels, self._sums(counter, labels))
        for name, text, histogram, bounds in _HISTOGRAMS:
            yield self._histogram(name, text, histogram, bounds)
        tokens = {
            (*payer, direction): number
            for counter, direction in ((INPUT_TOKENS, "input"), (OUTPUT_TOKENS, "output"))
            for payer, number in self._sums(counter, _PAYER).items()
        }
        yield self._counter("corral_tokens", "Tokens, as the hosts count them.", (*_PAYER, "direction"), tokens)
        dollars = {_named(payer): cost / DOLLAR for payer, cost in self._cost.items()}
        yield self._counter("corral_cost_dollars", "Cost of the tokens whose price is known.", _PAYER, dollars)
        unpriced = {_named(payer): number for payer, number in self._unpriced.items()}
        yield self._counter("corral_unpriced_tokens", "Tokens whose price is unknown.", _PAYER, unpriced)
        shares = {(model.name, target.host): target.share for model, target in self._plan.targets}
        yield self._gauge("corral_share_percent", "Declared share; 0 for fallbacks and drained hosts.", _WHERE, shares)
        out = self._readings.ejected(self._plan)
        live = [(model.name, target.host) for model, target in self._plan.live]
        ejected = {host: host in out for host in live}
        yield self._gauge("corral_host_ejected", "Whether the host is left out for failing.", _WHERE, ejected)
        yield self._gauge("corral_active_requests", "Requests under way.", (), {(): self._readings.active})

    def _counter(self, name: str, text: str, labels: Labels, values: Mapping[Labels, float]) -> Metric:
        return self._filled(CounterMetricFamily(name, text, labels=("stack", *labels)), values)

    def _gauge(self, name: str, text: str, labels: Labels, values: Mapping[Labels, float]) -> Metric:
        return self._filled(GaugeMetricFamily(name, text, labels=("stack", *labels)), values)

    def _filled(
        self, family: CounterMetricFamily | GaugeMetricFamily, values: Mapping[Labels, float]
    ) -> CounterMetricFamily | GaugeMetricFamily:
        for labels, value in sorted(values.items()):
            family.add_metric((self._plan.stack, *labels), value)
        return family

    def _histogram(self, name: str, text: str, histogram: str, bounds: tuple[float, ...]) -> Metric:
        family = HistogramMetricFamily(name, text, labels=("stack", *_WHERE))
        bins: defaultdict[Labels, list[tuple[Bin, int]]] = defaultdict(list)
        for timed, number in self._readings.times.items():
            if timed.histogram == histogram:
                bins[timed.model, timed.host].append((timed.bin, number))
        for labels, values in sorted(bins.items()):
            buckets = [
                (str(bound), sum(number for each, number in values if each.lower < bound * _MILLISECONDS))
                for bound in bounds
            ]
            buckets.append(("+Inf", sum(number for _, number in values)))
            total = sum(number * _middle(each) for each, number in values)
            family.add_metric((self._plan.stack, *labels), buckets, total / _MILLISECONDS)
        return family

    def _sums(self, counter: str, labels: Labels) -> Counter[Labels]:
        """The numbers of one counter, added up where they differ in other labels only."""
        sums: Counter[Labels] = Counter()
        for series, number in self._readings.counters.items():
            if series.counter == counter:
                values = (str(getattr(series, label)) for label in labels)
                sums[_named(values) if "tenant" in labels else tuple(values)] += number
        return sums


def _named(values: Iterable[str]) -> Labels:
    """The values of labels whose first is the tenant."""
    tenant, *others = values
    return (tenant or "-", *others)


def _middle(values: Bin) -> float:
    """Where the values of a bin lie in the middle, as Envoy has it."""
    end = values.lower + values.width
    return values.lower + values.width * values.lower / (values.lower + end) if end else 0.0
