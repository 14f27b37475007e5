"""What the page shows, as one state of texts and numbers; what is unknown is absent.

    stack, url, problem         problem: why nothing can be seen at the moment
    rps, tps, serverErrors, clientErrors, cost, unpriced, ejected           of all models together
    models.<name>               rps tps p50 p99 firstByte serverErrors clientErrors cost trouble peak
      .hosts.<name>             order role share observed drift rps tps p50 p99 firstByte failedAttempts cost state
                                ejections simulated fault peak
    tenants.<name>              rps tps cost serverErrors clientErrors limited.<limit> active concurrent
                                budgets.<window>.{limit used};
                                there is no `tenants` where the stack declares none
    marks.<number>              at kind text model host

rps and tps (requests, tokens a second) are of the last `RATES_SECONDS`; everything else that is counted is of the last
`LATELY_SECONDS`, observed shares of no longer than since the model's move.  Times are milliseconds, costs micro-dollars
an hour, shares percent.  A cost is unknown where any of the tokens has no known price, or was not counted; `unpriced`
are the models of unknown cost.  `limited` holds the limits that have refused any request, with how many: `requests` and
`tokens` of a minute, `concurrent`, `budget`.  `active` are a tenant's requests under way, and `concurrent` is their
limit; a tenant without that limit is not counted and has neither.  `budgets` are those of its `day` and its `month`.
`peak` says of a model that declares one whether its hosts carry it, with each host and region lost as well, and of a
host how much of what it takes its share of the peak is.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from operator import attrgetter

from corral.config.problems import listed
from corral.local.budgets import BudgetStatus
from corral.local.envoy.statistics import DURATION, FIRST_BYTE, LIMITED
from corral.local.page.feed import State
from corral.local.statistics.cost import MICRO_DOLLAR, cost
from corral.local.statistics.readings import Readings, Series, Timed, quantile
from corral.local.statistics.totals import Tally, Window, durations, tallies
from corral.plan.callers import TenantPlan
from corral.plan.capacity import Headroom
from corral.plan.money import Sums, nearest
from corral.plan.plan import ModelPlan, Plan, Price, Target

RATES_SECONDS = 10
LATELY_SECONDS = 30
_HOUR_SECONDS = 3600

_LEAST_FAILURES = 3
"""Fewer are no pattern."""


@dataclass(frozen=True)
class Snapshot:
    """A running engine at one moment."""

    at: float
    """Seconds of a clock that only grows."""
    time: int
    """Milliseconds since 1970."""
    plan: Plan
    """What is in force."""
    readings: Readings
    faults: Mapping[str, str]
    """Per simulated host that was made to fail the kind of fault."""
    simulated: Mapping[str, str | None]
    """Per host why it is simulated; None: it is the real one."""
    file_problem: str = ""
    """Why what the stack file holds is not in force."""
    budgets: Sequence[BudgetStatus] = ()


@dataclass(frozen=True)
class Windows:
    """What was counted in the last seconds."""

    rates: Window[Series] = field(default_factory=lambda: Window[Series](RATES_SECONDS))
    lately: Window[Series] = field(default_factory=lambda: Window[Series](LATELY_SECONDS))
    shares: Window[Series] = field(default_factory=lambda: Window[Series](LATELY_SECONDS))
    """Without what came before a model's move."""
    times: Window[Timed] = field(default_factory=lambda: Window[Timed](LATELY_SECONDS))


@dataclass(frozen=True)
class Expected:
    """What a plan says by itself."""

    peaks: Mapping[str, Headroom]
    """By model."""
    month: Sums


def _month(of: Sums) -> State:
    """Micro-dollars, from and to."""
    tokens, nodes = ([each.least, each.most] for each in (of.tokens, of.nodes))
    return {"tokens": tokens, "nodes": nodes, "unknown": len(of.unknown)}


_LEAST_REQUESTS = 30
"""Fewer say nothing."""
_DEVIATIONS = 4
_LEAST_DRIFT = 1.0
"""A difference of fewer points is none, however many requests there are."""


def share_drift(declared: int, answered: int, requests: int) -> float | None:
    """How many points a host's observed share lies above (or below, negative) its declared one; None: as declared.

    Hosts are drawn at random by weight, so that the share of `requests` requests differs by chance: by less than four
    standard deviations in all but one of 15,000 snapshots.
    """
    if requests < _LEAST_REQUESTS:
        return None
    part = declared / 100
    drift = 100 * answered / requests - declared
    deviation = 100 * sqrt(part * (1 - part) / requests)
    return drift if abs(drift) > _DEVIATIONS * deviation + _LEAST_DRIFT else None


def tenths(value: float) -> float:
    """To one decimal; more changes each second and tells nobody anything."""
    return round(value, 1)


def state_of(
    snapshot: Snapshot,
    windows: Windows,
    ejections: Mapping[tuple[str, str], int],
    expected: Expected,
) -> State:
    """What was counted: of models and all of them together, and of tenants; `ejections` are by model and host."""
    builder = _Builder(snapshot, windows, ejections, expected.peaks)
    models = builder.models()
    costs = [model["cost"] for model in models.values() if "cost" in model]
    return {
        "rps": tenths(sum(model["rps"] for model in models.values())),
        "tps": tenths(sum(model.get("tps", 0) for model in models.values())),
        "serverErrors": sum(model["serverErrors"] for model in models.values()),
        "clientErrors": sum(model["clientErrors"] for model in models.values()),
        "ejected": sum(host["state"] == "ejected" for model in models.values() for host in model["hosts"].values()),
        "unpriced": len(models) - len(costs),
        "cost": sum(costs),
        **({"month": _month(expected.month)} if expected.month else {}),
        "models": models,
        **({"tenants": builder.tenants()} if snapshot.plan.tenants else {}),
    }


_MODEL, _HOST, _TENANT = attrgetter("model"), attrgetter("model", "host"), attrgetter("tenant")


class _Builder:
    def __init__(
        self,
        snapshot: Snapshot,
        windows: Windows,
        ejections: Mapping[tuple[str, str], int],
        peaks: Mapping[str, Headroom],
    ) -> None:
        self._snapshot = snapshot
        self._ejections = ejections
        self._peaks = peaks
        self._uses = {
            (peak.model, each.host): each.percent
            for peak in peaks.values()
            for each in peak.offered
            if each.percent is not None
        }
        self._ejected = snapshot.readings.ejected(snapshot.plan)
        self._rates, self._lately, self._shares = windows.rates, windows.lately, windows.shares
        self._rates_of_hosts = tallies(self._rates.total, _HOST)
        self._lately_of_hosts = tallies(self._lately.total, _HOST)
        self._shares_of_hosts = tallies(self._shares.total, _HOST)
        self._times = durations(windows.times.total)

    def models(self) -> State:
        """By name."""
        rates, lately = tallies(self._rates.total, _MODEL), tallies(self._lately.total, _MODEL)
        shares = tallies(self._shares.total, _MODEL)

        def state(model: ModelPlan) -> State:
            name, targets = model.name, model.targets
            answered = shares[name].requests - self._shares_of_hosts[name, ""].requests
            hosts = {target.host: self._host(name, order, target, answered) for order, target in enumerate(targets)}
            parts = [(target.price, self._lately_of_hosts[name, target.host]) for target in targets]
            return {
                **self._numbers(rates[name], lately[name], parts),
                **self._quantiles(name, ""),
                **_trouble(lately[name], hosts),
                **({"peak": _carried(self._peaks[name])} if name in self._peaks else {}),
                "hosts": hosts,
            }

        return {model.name: state(model) for model in self._snapshot.plan.models}

    def tenants(self) -> State:
        """By name."""
        rates, lately = tallies(self._rates.total, _TENANT), tallies(self._lately.total, _TENANT)
        hosts = tallies(self._lately.total, attrgetter("tenant", "model", "host"))
        limited: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for series, number in self._lately.total.items():
            if series.counter == LIMITED:
                limited[series.tenant][series.limit] += number
        active = self._snapshot.readings.active_of_tenants
        budgets: defaultdict[str, State] = defaultdict(dict)
        for each in self._snapshot.budgets:
            budgets[each.tenant][each.window] = {"limit": each.limit, "used": each.used}

        def state(tenant: TenantPlan) -> State:
            name, limit = tenant.name, tenant.concurrent
            targets = self._snapshot.plan.targets
            parts = [(target.price, hosts[name, model.name, target.host]) for model, target in targets]
            return {
                **self._numbers(rates[name], lately[name], parts),
                "limited": dict(limited[name]),
                **({} if limit is None else {"active": active.get(name, 0), "concurrent": limit}),
                **({"budgets": budgets[name]} if name in budgets else {}),
            }

        return {tenant.name: state(tenant) for tenant in self._snapshot.plan.tenants}

    def _host(self, model: str, order: int, target: Target, answered: int) -> State:
        where = (model, target.host)
        lately, share = self._lately_of_hosts[where], self._shares_of_hosts[where].requests
        drift = share_drift(target.share, share, answered)
        simulated, fault = self._snapshot.simulated.get(target.host), self._snapshot.faults.get(target.host)
        return {
            "order": order,
            "role": target.role,
            "share": target.share,
            **({"observed": tenths(100 * share / answered)} if answered else {}),
            **({"drift": tenths(drift)} if drift is not None else {}),
            **self._speed(self._rates_of_hosts[where], uncounted=lately.uncounted),
            **self._quantiles(*where),
            "failedAttempts": lately.failed_attempts,
            **(self._cost([(target.price, lately)]) if target.price else {}),
            "state": _state(target, lately, ejected=where in self._ejected),
            "ejections": self._ejections.get(where, 0),
            **({"simulated": simulated} if simulated else {}),
            **({"fault": fault} if fault else {}),
            **({"peak": self._uses[where]} if where in self._uses else {}),
        }

    def _numbers(self, rates: Tally, lately: Tally, parts: Sequence[tuple[Price | None, Tally]]) -> State:
        """What models and tenants have alike."""
        return {
            **self._speed(rates, uncounted=any(tally.uncounted for _, tally in parts)),
            "serverErrors": lately.server_errors,
            "clientErrors": lately.client_errors,
            **self._cost(parts),
        }

    def _speed(self, rates: Tally, *, uncounted: bool) -> State:
        """Requests and tokens a second; 0 where nothing was seen yet."""
        seconds = self._rates.span
        requests, tokens = (tenths(number / seconds) if seconds else 0 for number in (rates.requests, rates.tokens))
        return {"rps": requests, **({} if uncounted else {"tps": tokens})}

    def _cost(self, parts: Sequence[tuple[Price | None, Tally]]) -> State:
        """Micro-dollars an hour, if the last seconds went on for so long."""
        spent = 0
        for price, tally in parts:
            more = cost(price, tally.input_tokens, tally.output_tokens, tally.cached_tokens) if tally.tokens else 0
            if more is None or tally.uncounted:
                return {}
            spent += more
        milliseconds = round(1000 * self._lately.span)
        return {"cost": nearest(spent * 1000 * _HOUR_SECONDS, MICRO_DOLLAR * milliseconds) if milliseconds else 0}

    def _quantiles(self, model: str, host: str) -> State:
        whole, first_byte = self._times[DURATION, model, host], self._times[FIRST_BYTE, model, host]
        values = {"p50": quantile(whole, 0.5), "p99": quantile(whole, 0.99), "firstByte": quantile(first_byte, 0.5)}
        return {name: tenths(value) for name, value in values.items() if value is not None}


def _state(target: Target, lately: Tally, *, ejected: bool) -> str:
    """`failing`: most of its attempts fail; `drained`: it gets no requests at all; `ejected`; `ok`."""
    if ejected:
        return "ejected"
    if lately.failed_attempts >= _LEAST_FAILURES and 2 * lately.failed_attempts > lately.attempts:
        return "failing"
    return "ok" if target.live else "drained"


def _carried(peak: Headroom) -> str:
    """Whether the hosts carry it, in words."""
    failing = [case.lost for case in peak.cases if case.verdict == "does not"]
    unknown = any(case.verdict == "unknown" for case in peak.cases)
    if "" in failing:
        return "not carried"
    if failing:
        return f"not carried without {listed(failing)}"
    return "unknown" if unknown else "carried, with any one lost"


def _trouble(lately: Tally, hosts: Mapping[str, State]) -> State:
    """What an operator should see to, in words."""
    number = lately.server_errors
    sentences = [f"{number} server error{'' if number == 1 else 's'}"] if number else []
    sentences += [f"{name} is left out" for name, host in hosts.items() if host["state"] == "ejected"]
    sentences += [
        f"{name} is failing" for name, host in hosts.items() if host["state"] == "failing" and "fault" not in host
    ]
    sentences += [f"{name} is made to fail ({host['fault']})" for name, host in hosts.items() if "fault" in host]
    sentences += ["shares are not as declared"] if any("drift" in host for host in hosts.values()) else []
    return {"trouble": "; ".join(sentences)} if sentences else {}
