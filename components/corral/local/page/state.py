"""What is seen of a running engine at one moment.

Whether an observed share is off the declared one by more than chance explains.

What was counted in some seconds as a pace: so much a second, so much money an hour.

What the page shows of each tenant, as a part of the state; what is unknown is absent.

    tenants.<name>              rps tps cost errors limited.<limit> active concurrent

`limited` holds the limits that have refused any request, with how many: `requests` and `tokens` of a minute,
`concurrent`.  `errors` are the other requests that ended in a 4xx, a 5xx or no answer at all.  `active` are the
requests under way, and `concurrent` is their limit; a tenant without that limit is not counted and has neither.

A cost is unknown where any of the tenant's tokens has no known price, or was not counted.

What the page shows, as one state of texts and numbers; what is unknown is absent.

    stack, url, problem         problem: why nothing can be seen at the moment
    rps, tps, lost, cost, out   of all models together
    models.<name>               rps tps p50 p99 first lost cost unpriced uncounted trouble
      .hosts.<name>             order role share observed off rps tps p50 p99 first failures cost health ejections
                                simulated fault
    tenants.<name>              see `tenants`; there is no `tenants` where the stack declares none
    marks.<number>              at kind text model host

rps and tps (requests, tokens a second) are of the last `RATES` seconds; everything else that is counted is of the last
`LATELY` seconds, observed shares of no longer than since the model's move.  Times are milliseconds, costs micro-dollars
an hour, shares percent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

from corral.local.envoy.names import link_name
from corral.local.page.feed import State
from corral.local.statistics.readings import Key, Span, Timed, quantile
from corral.local.statistics.tally import (
    DURATION,
    FIRST_BYTE,
    Tally,
    Window,
    limited,
    tally,
    tally_of_tenants,
    timings,
    whole,
)
from corral.plan.money import nearest
from corral.plan.plan import ModelPlan, Plan, Price, Target, TenantPlan


@dataclass(frozen=True)
class Look:
    """One look.  Models are called here as the plan calls them, but in counters as Envoy's statistics do."""

    at: float
    """Seconds of a clock that only grows."""
    time: int
    """Milliseconds since 1970."""
    plan: Plan
    """What is in force."""
    counters: Counter[Key]
    times: Counter[Timed] | None
    """Histograms, in milliseconds; None: they were not read this time."""
    out: frozenset[tuple[str, str]]
    """Who is left out for failing: pairs of a model's cluster and a host."""
    faults: Mapping[str, str]
    """Per simulated host that was made to fail the kind of fault."""
    simulated: Mapping[str, str | None]
    """Per host why it is simulated; None: it is the real one."""
    under_way: Mapping[str, int]
    """Requests under way of the tenants that have a limit on them; who has not called yet may be missing."""


_LEAST = 30
"""Fewer requests say nothing."""
_DEVIATIONS = 4
_POINTS = 1.0
"""A difference of less than this is none, however many requests there are."""


def points_off(declared: int, answered: int, requests: int) -> float | None:
    """How many points a host's observed share lies above (or below, negative) its declared one; None: as declared.

    Hosts are drawn at random by weight, so that the share of `requests` requests is off by chance: by less than four
    standard deviations in all but one of 15,000 looks.
    """
    if requests < _LEAST:
        return None
    part = declared / 100
    off = 100 * answered / requests - declared
    chance = 100 * sqrt(part * (1 - part) / requests)
    return off if abs(off) > _DEVIATIONS * chance + _POINTS else None


_MILLION, _HOUR = 1_000_000, 3600


def tenths(value: float) -> float:
    """To one decimal; more changes each second and tells nobody anything."""
    return round(value, 1)


def rate(number: int, seconds: float) -> float:
    """A second; 0 where nothing was seen yet."""
    return tenths(number / seconds) if seconds else 0


def cost(price: Price, counted: Tally, seconds: float) -> int:
    """Micro-dollars an hour; 0 where nothing was seen yet."""
    spent = counted.input * price.input + counted.output * price.output
    milliseconds = round(1000 * seconds)
    return nearest(spent * 1000 * _HOUR, _MILLION * milliseconds) if milliseconds else 0


Where = tuple[str, str]
"""A model and a host."""


def tenants_of(look: Look, rates: Window[Key], lately: Window[Key]) -> State:
    """By name; empty where the stack declares none."""
    now, late, refused = tally_of_tenants(rates.total), tally_of_tenants(lately.total), limited(lately.total)
    prices = {(model.name, target.host): target.price for model, target in look.plan.targets}

    def state(tenant: TenantPlan) -> State:
        name = tenant.name
        asked, ended = whole(now.get(name, {}).values()), whole(late.get(name, {}).values())
        by_limit = refused.get(name, Counter[str]())
        answered = {where: of for where, of in late.get(name, {}).items() if where in prices}
        uncounted = any(of.uncounted for of in answered.values())
        spent = None if uncounted else _spent(answered, prices, lately.span)
        return {
            "rps": rate(asked.requests, rates.span),
            **({} if uncounted else {"tps": rate(asked.input + asked.output, rates.span)}),
            **({} if spent is None else {"cost": spent}),
            "errors": max(0, ended.errors - by_limit.total()),
            "limited": dict(by_limit),
            **(
                {}
                if tenant.concurrent is None
                else {"active": look.under_way.get(name, 0), "concurrent": tenant.concurrent}
            ),
        }

    return {tenant.name: state(tenant) for tenant in look.plan.tenants}


def _spent(answered: Mapping[Where, Tally], prices: Mapping[Where, Price | None], seconds: float) -> int | None:
    """Micro-dollars an hour; None: there are tokens whose price is unknown."""
    spent = 0
    for where, of in answered.items():
        price = prices[where]
        if price is not None:
            spent += cost(price, of, seconds)
        elif of.input or of.output:
            return None
    return spent


RATES = 10
LATELY = 30

_SOME = 3
"""Fewer failures are no pattern."""


@dataclass(frozen=True)
class Sums:
    """What was counted in the last seconds."""

    rates: Window[Key]
    """Of `RATES` seconds."""
    lately: Window[Key]
    """Of `LATELY` seconds."""
    shares: Window[Key]
    """Of `LATELY` seconds, without what came before a model's move."""
    times: Window[Timed]


def state_of(look: Look, sums: Sums, ejections: Mapping[tuple[str, str], int]) -> State:
    """What was counted: of models and all of them together, and of tenants; `ejections` are by the cluster and host."""
    builder = _Builder(look, sums, ejections)
    models = {model.name: builder.model(model) for model in look.plan.models}
    left_out = sum(host.get("health") == "out" for model in models.values() for host in model["hosts"].values())
    costs = [model["cost"] for model in models.values() if "cost" in model]
    return {
        "rps": tenths(sum(model["rps"] for model in models.values())),
        "tps": tenths(sum(model.get("tps", 0) for model in models.values())),
        "lost": sum(model["lost"] for model in models.values()),
        "out": left_out,
        "unpriced": len(models) - len(costs),
        "cost": sum(costs),
        "models": models,
        **({"tenants": tenants_of(look, sums.rates, sums.lately)} if look.plan.tenants else {}),
    }


class _Builder:
    def __init__(self, look: Look, sums: Sums, ejections: Mapping[tuple[str, str], int]) -> None:
        self._look = look
        self._ejections = ejections
        self._rates, self._rates_span = tally(sums.rates.total), sums.rates.span
        self._lately, self._lately_span = tally(sums.lately.total), sums.lately.span
        self._shares = tally(sums.shares.total)
        self._times = timings(sums.times.total)

    def model(self, model: ModelPlan) -> State:
        name = model.name
        rates, lately = self._rates.get(name, {}), self._lately.get(name, {})
        answered = sum(of.requests for host, of in self._shares.get(name, {}).items() if host)
        hosts = {target.host: self._host(model, order, target, answered) for order, target in enumerate(model.targets)}
        now, late = whole(rates.values()), whole(lately.values())
        costs = [hosts[host].get("cost") for host, of in lately.items() if host in hosts and (of.input or of.output)]
        unpriced = any(cost is None for cost in costs)
        uncounted = late.uncounted
        return {
            "rps": rate(now.requests, self._rates_span),
            **({} if uncounted else {"tps": rate(now.input + now.output, self._rates_span)}),
            **self._quantiles(name, ""),
            "lost": late.lost,
            **({} if unpriced or uncounted else {"cost": sum(cost or 0 for cost in costs)}),
            **({"unpriced": 1} if unpriced else {}),
            **({"uncounted": 1} if uncounted else {}),
            **_trouble(late, hosts),
            "hosts": hosts,
        }

    def _host(self, model: ModelPlan, order: int, target: Target, answered: int) -> State:
        name, host = model.name, target.host
        rates = self._rates.get(name, {}).get(host, Tally())
        lately = self._lately.get(name, {}).get(host, Tally())
        share = self._shares.get(name, {}).get(host, Tally()).requests
        member = (link_name(model.name, target.priority), host)
        off = points_off(target.share, share, answered)
        simulated, fault = self._look.simulated.get(host), self._look.faults.get(host)
        return {
            "order": order,
            "role": target.role,
            "share": target.share,
            **({"observed": tenths(100 * share / answered)} if answered else {}),
            **({"off": tenths(off)} if off is not None else {}),
            "rps": rate(rates.requests, self._rates_span),
            **({} if lately.uncounted else {"tps": rate(rates.input + rates.output, self._rates_span)}),
            **self._quantiles(name, host),
            "failures": lately.failures,
            **self._cost(target, lately),
            "health": _health(target, lately, out=member in self._look.out),
            "ejections": self._ejections.get(member, 0),
            **({"simulated": simulated} if simulated else {}),
            **({"fault": fault} if fault else {}),
        }

    def _cost(self, target: Target, lately: Tally) -> State:
        """Micro-dollars an hour, at the pace of the last seconds."""
        if target.price is None or lately.uncounted:
            return {}
        return {"cost": cost(target.price, lately, self._lately_span)}

    def _quantiles(self, name: str, host: str) -> State:
        durations: Mapping[Span, int] = self._times.get((DURATION, name, host), {})
        first_bytes: Mapping[Span, int] = self._times.get((FIRST_BYTE, name, host), {})
        found = {
            "p50": quantile(durations, 0.5),
            "p99": quantile(durations, 0.99),
            "first": quantile(first_bytes, 0.5),
        }
        return {each: tenths(value) for each, value in found.items() if value is not None}


def _health(target: Target, lately: Tally, *, out: bool) -> str:
    """`out`: left out by Envoy; `failing`: asked, and most of its attempts fail; `drained`: not asked at all; `ok`."""
    if out:
        return "out"
    if lately.failures >= _SOME and 2 * lately.failures > lately.attempts:
        return "failing"
    return "ok" if target.live else "drained"


def _trouble(lately: Tally, hosts: Mapping[str, State]) -> State:
    """What an operator should look at, in words."""
    words = [f"{lately.lost} requests lost"] if lately.lost else []
    words += [f"{name} is left out" for name, host in hosts.items() if host["health"] == "out"]
    words += [
        f"{name} is failing" for name, host in hosts.items() if host["health"] == "failing" and "fault" not in host
    ]
    words += [f"{name} is made to fail ({host['fault']})" for name, host in hosts.items() if "fault" in host]
    words += ["shares are not as declared"] if any("off" in host for host in hosts.values()) else []
    return {"trouble": "; ".join(words)} if words else {}
