"""What the page shows, as one state of texts and numbers; what is unknown is absent.

    stack, url, problem         problem: why nothing can be seen at the moment
    rps, tps, lost, cost, out   of all models together
    models.<name>               rps tps p50 p99 first lost cost unpriced uncounted trouble
      .hosts.<name>             order role share observed off rps tps p50 p99 first failures cost health ejections
                                simulated fault
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
from components.page.quantile import quantile
from components.page.tally import DURATION, FIRST_BYTE, Tally, tally, timings
from components.page.window import Window
from components.plan.money import nearest
from components.plan.plan import ModelPlan, Target
from components.render.envoy.names import link_name

RATES = 10
LATELY = 30

_MILLION, _HOUR = 1_000_000, 3600
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
    """The models' part of the state, and the sums over all of them; `ejections` are by the cluster and host."""
    builder = _Builder(look, sums, ejections)
    models = {model.name: builder.model(model) for model in look.plan.models}
    left_out = sum(host.get("health") == "out" for model in models.values() for host in model["hosts"].values())
    costs = [model["cost"] for model in models.values() if "cost" in model]
    return {
        "rps": _tenths(sum(model["rps"] for model in models.values())),
        "tps": _tenths(sum(model.get("tps", 0) for model in models.values())),
        "lost": sum(model["lost"] for model in models.values()),
        "out": left_out,
        "unpriced": len(models) - len(costs),
        "cost": sum(costs),
        "models": models,
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
        now, late = _whole(rates), _whole(lately)
        costs = [hosts[host].get("cost") for host, of in lately.items() if host in hosts and (of.input or of.output)]
        unpriced = any(cost is None for cost in costs)
        uncounted = _uncounted(late)
        return {
            "rps": _rate(now.requests, self._rates_span),
            **({} if uncounted else {"tps": _rate(now.input + now.output, self._rates_span)}),
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
        uncounted = _uncounted(lately)
        simulated, fault = self._look.simulated.get(host), self._look.faults.get(host)
        return {
            "order": order,
            "role": role(target),
            "share": target.share,
            **({"observed": _tenths(100 * share / answered)} if answered else {}),
            **({"off": _tenths(off)} if off is not None else {}),
            "rps": _rate(rates.requests, self._rates_span),
            **({} if uncounted else {"tps": _rate(rates.input + rates.output, self._rates_span)}),
            **self._quantiles(name, host),
            "failures": lately.failures,
            **({} if uncounted else self._cost(target, lately)),
            "health": _health(target, lately, out=member in self._look.out),
            "ejections": self._ejections.get(member, 0),
            **({"simulated": simulated} if simulated else {}),
            **({"fault": fault} if fault else {}),
        }

    def _cost(self, target: Target, lately: Tally) -> State:
        """Micro-dollars an hour, at the pace of the last seconds."""
        if target.price is None:
            return {}
        spent = lately.input * target.price.input + lately.output * target.price.output
        milliseconds = round(1000 * self._lately_span)
        return {"cost": nearest(spent * 1000 * _HOUR, _MILLION * milliseconds) if milliseconds else 0}

    def _quantiles(self, name: str, host: str) -> State:
        durations: Mapping[Span, int] = self._times.get((DURATION, name, host), {})
        first_bytes: Mapping[Span, int] = self._times.get((FIRST_BYTE, name, host), {})
        found = {
            "p50": quantile(durations, 0.5),
            "p99": quantile(durations, 0.99),
            "first": quantile(first_bytes, 0.5),
        }
        return {each: _tenths(value) for each, value in found.items() if value is not None}


def _whole(hosts: Mapping[str, Tally]) -> Tally:
    whole = Tally()
    for of in hosts.values():
        whole.add(of)
    return whole


def _health(target: Target, lately: Tally, *, out: bool) -> str:
    """`out`: left out by Envoy; `failing`: asked, and most of its attempts fail; `drained`: not asked at all; `ok`."""
    if out:
        return "out"
    if lately.failures >= _SOME and 2 * lately.failures > lately.attempts:
        return "failing"
    return "ok" if target.live else "drained"


def _uncounted(lately: Tally) -> bool:
    """Whether there were answers, and nobody told how many tokens they took."""
    return lately.requests > lately.lost and not (lately.input or lately.output)


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


def _rate(number: int, span: float) -> float:
    return _tenths(number / span) if span else 0


def _tenths(value: float) -> float:
    """To one decimal; more changes each second and tells nobody anything."""
    return round(value, 1)
