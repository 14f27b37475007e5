"""The move: what changed between two plans, in an operator's terms: shares, fallbacks, money, places, limits, tenants.

Policy.  A model is in a move if anything of this changed for it.  Money is what the sharing hosts cost by weight, as
everywhere.  Places are the regions in which any request may be processed, over sharing hosts and fallbacks; a host of
which nobody knows where it processes stands for itself, so that an unknown place is never taken for none.

A model that only one of the plans has is no change of what a tenant may ask for: the model's own move tells it.  Of a
key only that it came or went is known.

Of the sessions that an affinity keeps on their hosts it is said how many move.  A session prefers the host for which
-ln(u)/share is the least, with a number u between 0 and 1 for each session and host that is always the same.  So it
stays at a host with the chance 1/Σ max(wⱼ/wᵢ before, wⱼ/wᵢ after).  With two hosts a share moved by ten points moves
ten percent of the sessions; with more, a few move besides, from hosts that keep their share to the one that gained, and
as many come to them from the one that lost: no rule without a memory of where each session is avoids that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from fractions import Fraction
from operator import attrgetter
from typing import Literal, TypeVar, get_args

from corral.plan.callers import TenantPlan
from corral.plan.money import Blended, Monthly, Sums, Unpriced, blended, monthly, sums
from corral.plan.plan import ModelPlan, Plan, SessionHeader

Change = Literal["added", "removed", "changed"]
TenantLimitName = Literal[
    "requests_per_minute", "tokens_per_minute", "concurrent_requests", "body_limit", "day_budget", "month_budget"
]


@dataclass(frozen=True)
class ShareMove:
    """One host's share of a model, moved or not; percent."""

    host: str
    before: int
    after: int


@dataclass(frozen=True)
class IdMove:
    """A host that is now called by another id of the model."""

    host: str
    before: str
    after: str


@dataclass(frozen=True)
class Side:
    """A model as one of the two plans has it."""

    fallback: tuple[str, ...]
    price: Blended | Unpriced
    month: Monthly | Unpriced | None
    volume: int | None
    """Tokens a month."""
    affinity: Literal["prompt"] | SessionHeader | None = None


@dataclass(frozen=True)
class ModelMove:
    """What changed for one model."""

    model: str
    change: Change
    shares: tuple[ShareMove, ...]
    """Of every host that has a share before or after, in order of name; those that did not move included."""
    ids: tuple[IdMove, ...]
    before: Side | None
    after: Side | None
    gained: tuple[str, ...]
    """Regions in which a request may be processed now, and could not before."""
    lost: tuple[str, ...]
    gained_unknown: tuple[str, ...]
    """Hosts that a request can reach now, and nobody knows where they process it."""
    lost_unknown: tuple[str, ...]
    sessions_moved: int | None = None
    """Percent of the sessions that change their host and so lose its cache; None: no affinity keeps them on one."""


@dataclass(frozen=True)
class LimitMove:
    """An engine setting that a request meets, in the unit of `RequestSettings`."""

    name: str
    before: int
    after: int


@dataclass(frozen=True)
class TenantLimit:
    """One limit of a tenant, moved; None: not limited."""

    name: TenantLimitName
    model: str | None
    """None: over all models."""
    before: int | None
    after: int | None


@dataclass(frozen=True)
class TenantSide:
    """A tenant as one of the two plans has it."""

    residency: tuple[str, ...] | None
    priority: Literal["high", "normal"]
    keys: int
    claims: tuple[str, ...]
    at_limit: Literal["refuse", "allow"] | None = None
    """What its budget does where nothing is left; None: it has none."""


@dataclass(frozen=True)
class TenantMove:
    """What changed for one tenant."""

    tenant: str
    change: Change
    limits: tuple[TenantLimit, ...]
    allowed: tuple[str, ...]
    """Models that it may ask for now, and might not before, in order of name."""
    withdrawn: tuple[str, ...]
    keys_added: int
    keys_removed: int
    before: TenantSide | None
    after: TenantSide | None


@dataclass(frozen=True)
class IssuerMove:
    """An issuer that may vouch now, may no longer, or is asked for another thing."""

    issuer: str
    change: Change


@dataclass(frozen=True)
class Move:
    """The difference of two plans."""

    models: tuple[ModelMove, ...]
    """In order of name."""
    limits: tuple[LimitMove, ...]
    tenants: tuple[TenantMove, ...] = ()
    issuers: tuple[IssuerMove, ...] = ()
    before: Sums | None = None
    """What a month costs, of the whole stack; None: there was no stack."""
    after: Sums | None = None

    def __bool__(self) -> bool:
        return bool(self.models or self.limits or self.tenants or self.issuers or self.costs_otherwise)

    @property
    def costs_otherwise(self) -> bool:
        """Whether the sums of a stack that stays are others."""
        return self.before is not None and self.after is not None and self.before != self.after


def move(before: Plan | None, after: Plan | None) -> Move:
    """What changed from one plan to the other; None: there was, or is, no such stack."""
    models = _paired(before and before.models, after and after.models)
    tenants = _paired(before and before.tenants, after and after.tenants)
    issuers = _paired(before and before.issuers, after and after.issuers, attrgetter("issuer"))
    common = {name for name, old, new in models if before is None or after is None or (old and new)}
    return Move(
        models=tuple(moved for name, old, new in models if (moved := _model(name, old, new))),
        limits=_limits(before, after),
        tenants=tuple(moved for name, old, new in tenants if (moved := _tenant(name, old, new, common))),
        issuers=tuple(IssuerMove(name, _change(old, new)) for name, old, new in issuers if old != new),
        before=before and sums(before),
        after=after and sums(after),
    )


def shares_moved(before: Plan, after: Plan) -> list[str]:
    """One line for each model whose hosts changed: `llama-3.3-70b: bedrock 60% → 20%, vllm 15% → 55%`."""
    lines: list[str] = []
    for model in move(before, after).models:
        changes = [
            f"{share.host} {share.before}% → {share.after}%" for share in model.shares if share.before != share.after
        ]
        now = model.after.fallback if model.after else ()
        if now != (model.before.fallback if model.before else ()):
            changes.append(f"fallback {', then '.join(now) or 'none'}")
        if changes:
            lines.append(f"{model.model}: {', '.join(changes)}")
    return lines


_T = TypeVar("_T")


def _paired(
    before: Iterable[_T] | None, after: Iterable[_T] | None, name: Callable[[_T], str] = attrgetter("name")
) -> list[tuple[str, _T | None, _T | None]]:
    """Each name, in order, with what has it before and after."""
    old, new = ({name(each): each for each in side or ()} for side in (before, after))
    return [(key, old.get(key), new.get(key)) for key in sorted(old.keys() | new.keys())]


def _change(before: object | None, after: object | None) -> Change:
    return "changed" if before and after else "added" if after else "removed"


def _without(these: Iterable[str], those: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({*these} - {*those}))


@dataclass(frozen=True)
class _ModelSide:
    """All that a move is about."""

    shares: dict[str, int]
    ids: dict[str, str]
    side: Side | None
    regions: frozenset[str]
    """Those that a request can reach."""
    unknown: frozenset[str]
    """The hosts that it can reach whose regions are unknown."""


def _side(model: ModelPlan) -> Side:
    fallback = tuple(target.host for target in model.fallbacks)
    return Side(fallback, blended(model), monthly(model), model.volume, model.affinity)


def _model_side(model: ModelPlan | None) -> _ModelSide:
    if model is None:
        return _ModelSide({}, {}, None, frozenset(), frozenset())
    return _ModelSide(
        shares=model.shares,
        ids={target.host: target.model_id for target in model.targets},
        side=_side(model),
        regions=frozenset(region for target in model.live for region in target.reaches or ()),
        unknown=frozenset(target.host for target in model.live if target.reaches is None),
    )


def _model(name: str, before: ModelPlan | None, after: ModelPlan | None) -> ModelMove | None:
    if before is after:
        return None
    old, new = _model_side(before), _model_side(after)
    if old == new:
        return None
    return ModelMove(
        model=name,
        change=_change(before, after),
        shares=tuple(
            ShareMove(host, old.shares.get(host, 0), new.shares.get(host, 0))
            for host in sorted(old.shares.keys() | new.shares.keys())
        ),
        ids=tuple(
            IdMove(host, old.ids[host], new.ids[host])
            for host in sorted(old.ids.keys() & new.ids.keys())
            if old.ids[host] != new.ids[host]
        ),
        before=old.side,
        after=new.side,
        gained=_without(new.regions, old.regions),
        lost=_without(old.regions, new.regions),
        gained_unknown=_without(new.unknown, old.unknown),
        lost_unknown=_without(old.unknown, new.unknown),
        sessions_moved=_sessions_moved(before, after),
    )


def _sessions_moved(before: ModelPlan | None, after: ModelPlan | None) -> int | None:
    if not (before and after and before.affinity and before.affinity == after.affinity):
        return None
    old, new = ({each.host: each.weight for each in side.sharing} for side in (before, after))
    stay = Fraction(0)
    for host in old.keys() & new.keys():
        rivals = (max(Fraction(w.get(each, 0), w[host]) for w in (old, new)) for each in old.keys() | new.keys())
        stay += 1 / sum(rivals, Fraction(0))
    return round(100 * (1 - stay))


def _limits(before: Plan | None, after: Plan | None) -> tuple[LimitMove, ...]:
    if before is None or after is None:
        return ()
    pairs = (
        (field.name, getattr(before.request_settings, field.name), getattr(after.request_settings, field.name))
        for field in fields(after.request_settings)
    )
    return tuple(LimitMove(name, old, new) for name, old, new in pairs if old != new)


def _tenant(name: str, before: TenantPlan | None, after: TenantPlan | None, common: set[str]) -> TenantMove | None:
    """`common`: the models of both plans."""
    old, new = ({*(side.models if side else ())} & common for side in (before, after))
    old_keys, new_keys = ({*(side.keys if side else ())} for side in (before, after))
    move = TenantMove(
        tenant=name,
        change=_change(before, after),
        limits=tuple(_tenant_limits(_amounts(before), _amounts(after))),
        allowed=_without(new, old),
        withdrawn=_without(old, new),
        keys_added=len(new_keys - old_keys),
        keys_removed=len(old_keys - new_keys),
        before=_tenant_side(before),
        after=_tenant_side(after),
    )
    differs = move.limits or old != new or old_keys != new_keys or move.before != move.after
    return move if differs else None


def _tenant_side(tenant: TenantPlan | None) -> TenantSide | None:
    budget = tenant and tenant.budget
    at_limit = budget.at_limit if budget else None
    return tenant and TenantSide(tenant.residency, tenant.priority, len(tenant.keys), tenant.claims, at_limit)


_Amounts = dict[tuple[str | None, TenantLimitName], int | None]


def _amounts(tenant: TenantPlan | None) -> _Amounts:
    """By model, and by the name of the limit; of all models by None."""
    if tenant is None:
        return {}
    amounts: _Amounts = {(None, "concurrent_requests"): tenant.concurrent, (None, "body_limit"): tenant.body_limit}
    if tenant.budget:
        amounts |= {(None, "day_budget"): tenant.budget.day, (None, "month_budget"): tenant.budget.month}
    for model, rate in tenant.all_rates:
        amounts[model, "requests_per_minute"] = rate.requests
        amounts[model, "tokens_per_minute"] = rate.tokens
    return amounts


def _tenant_limits(before: _Amounts, after: _Amounts) -> Iterator[TenantLimit]:
    models = sorted({model for model, _ in (*before, *after) if model})
    for model in (None, *models):
        for name in get_args(TenantLimitName):
            old, new = before.get((model, name)), after.get((model, name))
            if old != new:
                yield TenantLimit(name, model, old, new)
