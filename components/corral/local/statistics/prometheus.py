"""What the tokens cost, as they are counted: each at the price that was in force when it was.

Money is added up in millionths of a micro-dollar, whole numbers all the way.

The metrics in Prometheus's text format, or in OpenMetrics where it is asked for.

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

All have the label `stack`.  `model` is empty for a request that asked for none that there is, `host` where none
answered; `code` is 0 where the answer never came.

The metrics of a run of `corral serve`, for Prometheus.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from corral.local.admin import Admin
from corral.local.envoy import statistics
from corral.local.envoy.names import link_name
from corral.local.errors import EngineError
from corral.local.statistics.prices import Tariff, tariff
from corral.local.statistics.readings import left_out
from corral.local.statistics.samples import Numbers, Sample, Totals, read
from corral.plan.plan import Plan

Where = tuple[str, str, str]
"""Tenant, model and host."""

Direction = tuple[str, str, str, str]
"""The same, and `input` or `output`."""

DOLLAR = 10**12
"""Millionths of a micro-dollar."""


class Spending:
    """The money spent by one run."""

    def __init__(self) -> None:
        self.cost: Counter[Where] = Counter()
        """In millionths of a micro-dollar, of the tokens that have a price."""
        self.unpriced: Counter[Where] = Counter()
        """Tokens that have none."""
        self._seen: Counter[Direction] = Counter()

    def look(self, tokens: Mapping[Direction, int], tariff: Tariff) -> None:
        """Adds what was counted since the last look; `tokens` are totals, which only grow."""
        for (tenant, model, host, direction), number in tokens.items():
            more = number - self._seen[tenant, model, host, direction]
            price = tariff.price(model, host)
            if price is None:
                self.unpriced[tenant, model, host] += more
            else:
                self.cost[tenant, model, host] += more * (price.input if direction == "input" else price.output)
                self.unpriced[tenant, model, host] += 0
        self._seen = Counter(tokens)


ACTIVE = "http_gateway_downstream_rq_active"
_TENANT, _MODEL, _HOST = "tenant", "model", "host"

_COUNTERS = {
    "corral_requests": ("Requests, by the host that answered.", (_TENANT, _MODEL, _HOST, "code")),
    "corral_attempts": ("Attempts at a host, failed ones included.", (_MODEL, _HOST, "code")),
    "corral_limited": ("Requests refused by a limit.", (_TENANT, _MODEL, "limit")),
}
_HISTOGRAMS = {
    "corral_duration": ("corral_request_duration_seconds", "Time until the answer was complete, retries included."),
    "corral_first_byte": ("corral_first_byte_seconds", "Time until the answer began."),
}
_TOKENS = {"corral_input_tokens": "input", "corral_output_tokens": "output"}

_PER_SECOND = 1000
"""Envoy's histograms are in milliseconds."""


@dataclass(frozen=True)
class Snapshot:
    """Everything that is exposed, as it is at one moment."""

    plan: Plan
    totals: Numbers
    active: int
    cost: Mapping[Where, int]
    """In millionths of a micro-dollar."""
    unpriced: Mapping[Where, int]
    ejected: frozenset[tuple[str, str]] = field(default=frozenset())
    """Pairs of model and host."""


def tokens(totals: Numbers) -> Counter[Direction]:
    """The tokens of each tenant, model and host, by direction."""
    found: Counter[Direction] = Counter()
    for sample, number in totals.items():
        direction = _TOKENS.get(sample.name)
        if direction:
            found[(*_values(sample, (_TENANT, _MODEL, _HOST)), direction)] += int(number)  # type: ignore[index]
    return found


def expose(snapshot: Snapshot, accept: str = "") -> tuple[bytes, str]:
    """The body and its content type; `accept` is the request's header."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Of(snapshot))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Of(Collector):
    """A snapshot as metrics."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """All of them, also those that have no values yet."""
        now = self._snapshot
        for name, (said, labels) in _COUNTERS.items():
            yield self._counter(name, said, labels, _sums(now.totals, name, labels))
        for name, (ours, said) in _HISTOGRAMS.items():
            yield self._histogram(name, ours, said)
        where = (_TENANT, _MODEL, _HOST)
        yield self._counter(
            "corral_tokens", "Tokens, as the hosts count them.", (*where, "direction"), tokens(now.totals)
        )
        dollars = {at: cost / DOLLAR for at, cost in now.cost.items()}
        yield self._counter("corral_cost_dollars", "Cost of the tokens whose price is known.", where, dollars)
        yield self._counter("corral_unpriced_tokens", "Tokens whose price is unknown.", where, now.unpriced)
        yield self._gauge(
            "corral_share_percent",
            "Declared share; 0 for fallbacks and drained hosts.",
            {(model.name, target.host): target.share for model, target in now.plan.targets},
        )
        yield self._gauge(
            "corral_host_ejected",
            "Whether the host is left out for failing.",
            {(model.name, each.host): (model.name, each.host) in now.ejected for model, each in now.plan.live},
        )
        active = GaugeMetricFamily("corral_active_requests", "Requests under way.", labels=("stack",))
        active.add_metric((now.plan.stack,), now.active)
        yield active

    def _counter(
        self, name: str, said: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]
    ) -> CounterMetricFamily:
        family = CounterMetricFamily(name, said, labels=("stack", *labels))
        for at, value in sorted(values.items()):
            family.add_metric((self._snapshot.plan.stack, *at), value)
        return family

    def _gauge(self, name: str, said: str, values: Mapping[tuple[str, str], float]) -> GaugeMetricFamily:
        family = GaugeMetricFamily(name, said, labels=("stack", _MODEL, _HOST))
        for at, value in sorted(values.items()):
            family.add_metric((self._snapshot.plan.stack, *at), value)
        return family

    def _histogram(self, name: str, ours: str, said: str) -> HistogramMetricFamily:
        family = HistogramMetricFamily(ours, said, labels=("stack", _MODEL, _HOST))
        totals = self._snapshot.totals
        sums = _sums(totals, f"{name}_sum", (_MODEL, _HOST))
        bounds: defaultdict[tuple[str, ...], list[tuple[float, float]]] = defaultdict(list)
        for (*at, bound), number in _sums(totals, f"{name}_bucket", (_MODEL, _HOST, "le")).items():
            bounds[tuple(at)].append((math.inf if bound == "+Inf" else float(bound) / _PER_SECOND, number))
        for at, buckets in sorted(bounds.items()):
            family.add_metric(
                (self._snapshot.plan.stack, *at),
                [("+Inf" if bound == math.inf else str(bound), number) for bound, number in sorted(buckets)],
                sums[at] / _PER_SECOND,
            )
        return family


def _sums(totals: Numbers, name: str, labels: tuple[str, ...]) -> Counter[tuple[str, ...]]:
    """The numbers of one name, added up where they differ in other labels only."""
    found: Counter[tuple[str, ...]] = Counter()
    for sample, number in totals.items():
        if sample.name == name:
            found[_values(sample, labels)] += number  # type: ignore[assignment]
    return found


def _values(sample: Sample, labels: Iterable[str]) -> tuple[str, ...]:
    return tuple(_value(label, sample.label(label)) for label in labels)


def _value(label: str, value: str) -> str:
    """A route that is no model's has a space in its name; Envoy writes `-` or nothing for what there is none of."""
    if label == _TENANT:
        return value or "-"
    return "" if value == "-" or (label == _MODEL and " " in value) else value


_WANTED = rf"^{statistics.PREFIX}\.|^http\.gateway\.downstream_rq_active$"


class Metrics:
    """What one Envoy has counted, over all its lives; `life` tells which one it is in."""

    def __init__(self, admin: Admin, life: Callable[[], int]) -> None:
        self._admin = admin
        self._life = life
        self._totals = Totals()
        self._spending = Spending()
        self._one_look = asyncio.Lock()

    async def look(self, plan: Plan) -> Snapshot:
        """How everything stands.  What was counted since the last look costs what `plan` says.  Raises EngineError."""
        async with self._one_look:
            life, text = await self._read()
            ejected = await left_out(self._admin)
            return await asyncio.to_thread(self._absorb, plan, life, text, ejected)

    async def metrics(self, plan: Plan, accept: str = "") -> tuple[bytes, str]:
        """The body and content type for Prometheus; `accept` is the header of its request.  Raises EngineError."""
        return await asyncio.to_thread(expose, await self.look(plan), accept)

    async def _read(self) -> tuple[int, str]:
        """Envoy's numbers, and the life they are of."""
        while True:
            life = self._life()
            text = await self._admin.prometheus(_WANTED)
            if life == self._life():
                return life, text

    def _absorb(self, plan: Plan, life: int, text: str, ejected: set[tuple[str, str]]) -> Snapshot:
        numbers = read(text)
        counted: Numbers = {sample: number for sample, number in numbers.items() if sample.name != ACTIVE}
        totals = self._totals.look(counted, life)
        self._spending.look(tokens(totals), tariff(plan))
        return Snapshot(
            plan=plan,
            totals=totals,
            active=int(sum(number for sample, number in numbers.items() if sample.name == ACTIVE)),
            cost=self._spending.cost.copy(),
            unpriced=self._spending.unpriced.copy(),
            ejected=frozenset(
                (model.name, target.host)
                for model, target in plan.targets
                if (link_name(model.name, target.priority), target.host) in ejected
            ),
        )


def metrics_route(metrics: Callable[[str], Awaitable[tuple[bytes, str]]]) -> Route:
    """`GET /metrics`, for a web server; 503 while Envoy does not answer."""

    async def answer(request: Request) -> Response:
        try:
            body, content_type = await metrics(request.headers.get("accept", ""))
        except EngineError as reason:
            return PlainTextResponse(f"{reason}\n", 503)
        return Response(body, headers={"content-type": content_type})

    return Route("/metrics", answer)
