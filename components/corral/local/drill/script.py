"""The script of a drill: its steps as data, computed from the plan.  Pure.

Policy.  A steady load begins and stays to the end.  The shares as declared are watched; they are swapped, the largest
host of each model is drained to 0, and all comes back.  A file that cannot be read is saved, then one whose shares do
not sum to 100.  Then hosts fail, one after the other in each of the ways there are, and come back; then all sharing
hosts at once.  Last a tenant exceeds its limit: the tenant with the limit that the fewest requests exceed; where no
tenant has one that is exceeded within seconds, a tenant of the drill's own, which the copy of the stack is given.

A host is made to fail only where every model that it serves has another host left: what is lost otherwise is lost by
the stack, not by the gateway.  A step that a stack leaves no room for is skipped, and its place says why.

Shares are whole percent, together always 100.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from corral.plan.callers import Rate, TenantPlan
from corral.plan.plan import ModelPlan, Plan

Shares = Mapping[str, int]
"""Per host its percentage."""


def swapped(shares: Shares) -> dict[str, int]:
    """The largest and the smallest share exchanged; where all are alike, half of one goes to another.

    Of one sharing host there is nothing to exchange.
    """
    new = dict(shares)
    sharing = _by_size(shares)
    if len(sharing) < 2:
        return new
    first, last = sharing[0], sharing[-1]
    if shares[first] == shares[last]:
        moved = (shares[last] + 1) // 2
        new[first], new[last] = shares[first] + moved, shares[last] - moved
    else:
        new[first], new[last] = shares[last], shares[first]
    return new


def drained(shares: Shares) -> dict[str, int]:
    """The largest share given to the other sharing hosts, in proportion to theirs; what is left over to the largest."""
    new = dict(shares)
    sharing = _by_size(shares)
    if len(sharing) < 2:
        return new
    gone, others = sharing[0], sharing[1:]
    kept = sum(shares[host] for host in others)
    for host in others:
        new[host] = shares[host] * 100 // kept
    new[gone] = 0
    new[others[0]] += 100 - sum(new.values())
    return new


def _without_drained(shares: Shares) -> dict[str, int]:
    return {host: share for host, share in drained(shares).items() if share}


def _by_size(shares: Shares) -> list[str]:
    """The sharing hosts, largest share first, then by name."""
    return sorted((host for host, share in shares.items() if share), key=lambda host: (-shares[host], host))


_MOST_REQUESTS = 600
"""The requests that exceeding a limit may take: a few seconds' worth."""

_OWN_RATE = Rate(requests=60)
"""The limit of the drill's own tenant."""

_LONG_PROMPT_WORDS = 1_000
"""The length of a prompt that is to use up tokens."""


@dataclass(frozen=True)
class Exhaust:
    """A tenant asks for more than its limit; the time is that after its first refusal."""

    seconds: float
    tenant: str
    model: str
    limit: Literal["requests", "tokens"]
    allowed: int
    """A minute."""

    @property
    def title(self) -> str:
        return f"tenant {self.tenant} exceeds its limit"

    @property
    def words(self) -> int:
        """The length of each prompt."""
        return _LONG_PROMPT_WORDS if self.limit == "tokens" else 1

    @property
    def enough(self) -> int:
        """The requests by which the limit is exceeded, whatever else the tenant's minute holds."""
        return 2 * self.allowed // self.words + 50


def exhaust(plan: Plan, seconds: float = 0) -> Exhaust | None:
    """The limit to exceed; None where the plan has no tenants, and so no limits."""
    if not plan.tenants:
        return None
    limits = [limit for tenant in plan.tenants for limit in _limits(tenant, seconds) if limit.enough <= _MOST_REQUESTS]
    name = _unused_name(plan, "drill-limited")
    own = Exhaust(seconds, name, plan.models[0].name, "requests", _OWN_RATE.requests or 0)
    return min(limits, key=lambda limit: limit.enough, default=own)


def _limits(tenant: TenantPlan, seconds: float) -> Iterator[Exhaust]:
    for model, rate in tenant.all_rates:
        if rate.requests is not None:
            yield Exhaust(seconds, tenant.name, model or tenant.models[0], "requests", rate.requests)
        if rate.tokens is not None:
            yield Exhaust(seconds, tenant.name, model or tenant.models[0], "tokens", rate.tokens)


def steady_tenant(plan: Plan) -> str | None:
    """The tenant of the steady load, which has no limits; None: nobody needs a key."""
    return _unused_name(plan, "drill") if plan.tenants else None


def own_tenants(plan: Plan) -> tuple[TenantPlan, ...]:
    """The tenants that the copy of the stack has more than the stack; they have no key yet."""
    exceeded, steady = exhaust(plan), steady_tenant(plan)
    if exceeded is None or steady is None:
        return ()
    models = tuple(model.name for model in plan.models)
    rates = {steady: Rate()}
    if exceeded.tenant not in {tenant.name for tenant in plan.tenants}:
        rates[exceeded.tenant] = _OWN_RATE
    return tuple(_tenant(name, models, rate) for name, rate in rates.items())


def _tenant(name: str, models: tuple[str, ...], rate: Rate) -> TenantPlan:
    return TenantPlan(
        name=name,
        keys=(),
        claims=(),
        models=models,
        residency=None,
        allowed_regions=None,
        priority="normal",
        rate=rate,
        rates=(),
        concurrent=None,
        body_limit=None,
    )


def _unused_name(plan: Plan, name: str) -> str:
    """The name, or one like it that no tenant of the plan has."""
    taken = {tenant.name for tenant in plan.tenants}
    while name in taken:
        name += "-2"
    return name


Failure = Literal["503", "refused", "reset", "hang", "slow-first-byte", "429"]

FAILURES: Mapping[Failure, str] = {
    "503": "answers 503",
    "refused": "refuses connections",
    "reset": "resets connections",
    "hang": "hangs",
    "slow-first-byte": "slow first byte",
    "429": "answers 429",
}
"""The ways of failing, in their order."""

_HERE: tuple[Failure, ...] = ("503", "refused", "hang", "slow-first-byte", "429")
_ON_CLUSTER: tuple[Failure, ...] = ("503", "reset", "hang", "slow-first-byte", "429")
"""A pod that stands for all hosts cannot refuse connections for one of them."""

_HANG_SECONDS = 3.0
"""Until a host that hangs is given up: only from then on is there anything to see."""

_AWAITED_SECONDS = 2.0
"""About how long the event takes that a step waits for: a host in its place again, a limit that is exceeded."""

_LEAST_SCALE = 0.1

_EXCEEDING = "a tenant exceeds its limit"


@dataclass(frozen=True)
class Watch:
    """The load alone, with the shares as declared."""

    seconds: float
    title: str = "shares as declared"


@dataclass(frozen=True)
class Move:
    """An edit of shares, by model; models that are left out keep theirs."""

    seconds: float
    title: str
    shares: Mapping[str, Shares]


@dataclass(frozen=True)
class Break:
    """A save of a stack file that must be refused."""

    seconds: float
    how: Literal["unreadable", "sum"]

    @property
    def title(self) -> str:
        return "save a file that is not YAML" if self.how == "unreadable" else "save shares that do not sum to 100"


@dataclass(frozen=True)
class Fail:
    """Hosts that fail together, and come back together."""

    seconds: float
    hosts: tuple[str, ...]
    how: Failure

    @property
    def title(self) -> str:
        return f"{', '.join(self.hosts)}: {FAILURES[self.how]}"


@dataclass(frozen=True)
class Skipped:
    """A step that the stack leaves no room for."""

    title: str
    why: str


Step = Watch | Move | Break | Fail | Exhaust

Script = tuple[Step | Skipped, ...]


def script(plan: Plan, scale: float = 1) -> Script:
    """The steps for a plan; `scale` multiplies their times."""
    return (
        Watch(8 * scale),
        *_moves(plan, 8 * scale),
        Break(1.5 * scale, "unreadable"),
        Break(1.5 * scale, "sum"),
        *_failures(plan, 4 * scale, _HERE),
        _all_at_once(plan, 4 * scale),
        exhaust(plan, 2 * scale) or Skipped(_EXCEEDING, "the stack declares no tenants"),
    )


def script_on_cluster(plan: Plan, scale: float = 1) -> Script:
    """The steps on a cluster, where a host is taken out of the lists as well, which is another route and a cut-over."""
    read_before = "a stack file is read and checked before anything reaches a cluster"
    limit = exhaust(plan, 2 * scale) if has_limits(plan) else None
    return (
        Watch(8 * scale),
        *_moves(plan, 8 * scale, remove=True),
        Skipped(Break(0, "unreadable").title, read_before),
        Skipped(Break(0, "sum").title, read_before),
        *_failures(plan, 4 * scale, _ON_CLUSTER),
        _all_at_once(plan, 4 * scale),
        limit or Skipped(_EXCEEDING, "no tenant of the stack has a limit, so that nothing counts requests there"),
    )


def has_limits(plan: Plan) -> bool:
    """Whether any tenant has limits that are counted by the minute."""
    return any(rate != Rate() for rate in plan.rates)


def moved(plan: Plan, shares: Mapping[str, Shares]) -> Plan:
    """The plan after an edit of shares; a host that had a share and is named no more is no host of the model then."""

    def edited(model: ModelPlan) -> ModelPlan:
        of_model = shares.get(model.name, model.shares)
        targets = [
            replace(target, share=of_model[target.host], weight=of_model[target.host])
            if not target.priority
            else target
            for target in model.targets
            if target.priority or target.host in of_model
        ]
        return replace(model, targets=tuple(targets))

    return replace(plan, models=tuple(map(edited, plan.models)))


def scale_of(plan: Plan, seconds: float) -> float:
    """The scale with which the steps for a plan take about so many seconds."""
    steps = [step for step in script(plan, 0) if not isinstance(step, Skipped)]
    fixed = sum(step.seconds for step in steps)
    awaited = sum(_AWAITED_SECONDS for step in steps if isinstance(step, Fail | Exhaust))
    whole = sum(step.seconds for step in script(plan, 1) if not isinstance(step, Skipped))
    return max(_LEAST_SCALE, (seconds - fixed - awaited) / (whole - fixed))


def declared(plan: Plan) -> dict[str, dict[str, int]]:
    """Per model the shares of its hosts, drained ones at 0; fallbacks have none."""
    return {model.name: model.shares for model in plan.models}


def _moves(plan: Plan, seconds: float, *, remove: bool = False) -> tuple[Move | Skipped, ...]:
    as_declared = {name: shares for name, shares in declared(plan).items() if sum(map(bool, shares.values())) > 1}
    if not as_declared:
        return (Skipped("move shares", "no model has a second sharing host to move them to"),)

    def edited(edit: Callable[[Shares], dict[str, int]]) -> dict[str, dict[str, int]]:
        return {model: edit(shares) for model, shares in as_declared.items()}

    return (
        Move(seconds, "swap shares", edited(swapped)),
        Move(seconds, "drain the largest share to 0", edited(drained)),
        *([Move(seconds, "take the drained hosts out", edited(_without_drained))] if remove else ()),
        Move(seconds, "back to what is declared", as_declared),
    )


def _failures(plan: Plan, seconds: float, ways: Sequence[Failure]) -> tuple[Fail | Skipped, ...]:
    shares = {host: sum(target.share for target in plan.at(host).values()) for host in plan.hosts}
    sharing = sorted((host for host, share in shares.items() if share), key=lambda host: (-shares[host], host))
    victims = [host for host in sharing if not _alone(plan, (host,))]
    if not victims:
        why = f"{sharing[0]} is the only host of {_alone(plan, (sharing[0],))[0]}"
        return tuple(Skipped(f"a host: {FAILURES[how]}", why) for how in ways)
    return tuple(
        Fail(seconds + _HANG_SECONDS * (how == "hang"), (victims[number % len(victims)],), how)
        for number, how in enumerate(ways)
    )


def _all_at_once(plan: Plan, seconds: float) -> Fail | Skipped:
    sharing = tuple(sorted({target.host for model in plan.models for target in model.sharing}))
    alone = _alone(plan, sharing)
    if len(sharing) == 1 and not alone:
        return Skipped("all sharing hosts: answer 503", f"{sharing[0]} is the only one, and has failed already")
    if alone:
        return Skipped("all sharing hosts: answer 503", f"no fallback of {alone[0]} is then left")
    return Fail(seconds, sharing, "503")


def _alone(plan: Plan, failing: tuple[str, ...]) -> list[str]:
    """The models that no host is left for while these fail."""
    return [model.name for model in plan.models if not _left(model, failing)]


def _left(model: ModelPlan, failing: tuple[str, ...]) -> bool:
    live = {target.host for target in model.live}
    return not live & set(failing) or bool(live - set(failing))
