"""What the page shows, as one state of texts and numbers; what is unknown is absent.

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

from collections.abc import Mapping
from dataclasses import dataclass

from components.embedded.readings import Key, Span, Timed
from components.embedded.status import role
from components.page.delta import State
from components.page.look import Look
from components.page.off import points_off
from components.page.pace import cost, rate, tenths
from components.page.quantile import quantile
from components.page.tally import DURATION, FIRST_BYTE, Tally, tally, timings, whole
from components.page.tenants import tenants_of
from components.page.window import Window
from components.plan.plan import ModelPlan, Target
from components.render.envoy.names import link_name

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
            "role": role(target),
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
