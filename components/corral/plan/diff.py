"""What changed between two plans for those who may call: who they are, what they may ask for, and how much.

Policy.  A model that only one of the plans has is no change of what a tenant may ask for: the model's own move says it.
Of a key only that it came or went is known.

The move: what changed between two plans, in an operator's terms — shares, fallbacks, money, places, limits, tenants.

Policy.  A model is in a move if anything of this changed for it.  Money is what the sharing hosts cost by weight, as
everywhere.  Places are the regions in which any request may be processed, over sharing hosts and fallbacks; a host of
which nobody knows where it processes stands for itself, so that an unknown place is never taken for none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Literal

from corral.plan.money import Blended, Monthly, Unpriced, blended, monthly
from corral.plan.plan import Issuer, ModelPlan, Plan, Rate, TenantPlan

Change = Literal["added", "removed", "changed"]


@dataclass(frozen=True)
class TenantLimit:
    """One limit of a tenant, moved; None: not limited."""

    name: Literal["requests_per_minute", "tokens_per_minute", "concurrent_requests", "body_limit"]
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


def tenant_moves(before: Plan | None, after: Plan | None) -> tuple[TenantMove, ...]:
    """In order of name."""
    old = {tenant.name: tenant for tenant in before.tenants} if before else {}
    new = {tenant.name: tenant for tenant in after.tenants} if after else {}
    common = _models(before) & _models(after) if before and after else _models(before) | _models(after)
    moves = (_move(old.get(name), new.get(name), common) for name in sorted(old.keys() | new.keys()))
    return tuple(move for move in moves if move)


def issuer_moves(before: Plan | None, after: Plan | None) -> tuple[IssuerMove, ...]:
    """In order of name."""
    old = {each.issuer: each for each in before.issuers} if before else {}
    new = {each.issuer: each for each in after.issuers} if after else {}
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return tuple(IssuerMove(name, _change(old.get(name), new.get(name))) for name in names)


def _move(before: TenantPlan | None, after: TenantPlan | None, common: frozenset[str]) -> TenantMove | None:
    known = before or after
    if known is None:
        return None
    old, new = _may_ask_for(before, common), _may_ask_for(after, common)
    old_keys, new_keys = _keys(before), _keys(after)
    move = TenantMove(
        tenant=known.name,
        change=_change(before, after),
        limits=tuple(_tenant_limits(before, after)),
        allowed=tuple(sorted(new - old)),
        withdrawn=tuple(sorted(old - new)),
        keys_added=len(new_keys - old_keys),
        keys_removed=len(old_keys - new_keys),
        before=_tenant_side(before),
        after=_tenant_side(after),
    )
    differs = move.limits or old != new or old_keys != new_keys or move.before != move.after
    return move if differs else None


def _change(before: TenantPlan | Issuer | None, after: TenantPlan | Issuer | None) -> Change:
    return "changed" if before and after else "added" if after else "removed"


def _tenant_limits(before: TenantPlan | None, after: TenantPlan | None) -> Iterator[TenantLimit]:
    yield from _rates(None, before and before.rate, after and after.rate)
    yield from _limit("concurrent_requests", None, before and before.concurrent, after and after.concurrent)
    yield from _limit("body_limit", None, before and before.body_limit, after and after.body_limit)
    old, new = dict(before.rates if before else ()), dict(after.rates if after else ())
    for model in sorted(old.keys() | new.keys()):
        yield from _rates(model, old.get(model), new.get(model))


def _rates(model: str | None, before: Rate | None, after: Rate | None) -> Iterator[TenantLimit]:
    yield from _limit("requests_per_minute", model, before and before.requests, after and after.requests)
    yield from _limit("tokens_per_minute", model, before and before.tokens, after and after.tokens)


def _limit(
    name: Literal["requests_per_minute", "tokens_per_minute", "concurrent_requests", "body_limit"],
    model: str | None,
    before: int | None,
    after: int | None,
) -> Iterator[TenantLimit]:
    if before != after:
        yield TenantLimit(name, model, before, after)


def _tenant_side(tenant: TenantPlan | None) -> TenantSide | None:
    return tenant and TenantSide(tenant.residency, tenant.priority, len(tenant.keys), tenant.claims)


def _may_ask_for(tenant: TenantPlan | None, common: Iterable[str]) -> frozenset[str]:
    return frozenset(tenant.models).intersection(common) if tenant else frozenset()


def _keys(tenant: TenantPlan | None) -> frozenset[str]:
    return frozenset(tenant.keys) if tenant else frozenset()


def _models(plan: Plan | None) -> frozenset[str]:
    return frozenset(plan.model_names) if plan else frozenset()


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


@dataclass(frozen=True)
class ModelMove:
    """What changed for one model."""

    model: str
    change: Literal["added", "removed", "changed"]
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


@dataclass(frozen=True)
class LimitMove:
    """An engine setting that a request meets, in the unit of `Limits`."""

    name: str
    before: int
    after: int


@dataclass(frozen=True)
class Move:
    """The difference of two plans."""

    models: tuple[ModelMove, ...]
    """In order of name."""
    limits: tuple[LimitMove, ...]
    tenants: tuple[TenantMove, ...] = ()
    issuers: tuple[IssuerMove, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.models or self.limits or self.tenants or self.issuers)


def move(before: Plan | None, after: Plan | None) -> Move:
    """What changed from one plan to the other; None: there was, or is, no such stack."""
    old = {model.name: model for model in before.models} if before else {}
    new = {model.name: model for model in after.models} if after else {}
    moved = (_model(old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys()))
    return Move(
        models=tuple(each for each in moved if each),
        limits=_limits(before, after),
        tenants=tenant_moves(before, after),
        issuers=issuer_moves(before, after),
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


def _model(before: ModelPlan | None, after: ModelPlan | None) -> ModelMove | None:
    known = before or after
    if known is None or _compared(before) == _compared(after):
        return None
    old, new = _shares(before), _shares(after)
    reached, reaches = _reached(before), _reached(after)
    return ModelMove(
        model=known.name,
        change="changed" if before and after else "added" if after else "removed",
        shares=tuple(ShareMove(host, old.get(host, 0), new.get(host, 0)) for host in sorted(old.keys() | new.keys())),
        ids=_ids(before, after),
        before=before and _side(before),
        after=after and _side(after),
        gained=_without(reaches[0], reached[0]),
        lost=_without(reached[0], reaches[0]),
        gained_unknown=_without(reaches[1], reached[1]),
        lost_unknown=_without(reached[1], reaches[1]),
    )


def _compared(model: ModelPlan | None) -> object:
    """All that a move is about."""
    return model and (_shares(model), _named(model), _side(model), _reached(model))


def _side(model: ModelPlan) -> Side:
    return Side(
        fallback=tuple(target.host for target in model.fallbacks),
        price=blended(model),
        month=monthly(model),
        volume=model.volume,
    )


def _shares(model: ModelPlan | None) -> dict[str, int]:
    return model.shares if model else {}


def _named(model: ModelPlan | None) -> dict[str, str]:
    return {target.host: target.model_id for target in model.targets} if model else {}


def _ids(before: ModelPlan | None, after: ModelPlan | None) -> tuple[IdMove, ...]:
    old, new = _named(before), _named(after)
    both = sorted(old.keys() & new.keys())
    return tuple(IdMove(host, old[host], new[host]) for host in both if old[host] != new[host])


def _reached(model: ModelPlan | None) -> tuple[frozenset[str], frozenset[str]]:
    """The regions that a request can reach, and the hosts whose regions are unknown."""
    live = model.live if model else ()
    regions = frozenset(region for target in live for region in target.reaches or ())
    return regions, frozenset(target.host for target in live if target.reaches is None)


def _without(these: frozenset[str], those: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(these - those))


def _limits(before: Plan | None, after: Plan | None) -> tuple[LimitMove, ...]:
    if before is None or after is None:
        return ()
    pairs = (
        (field.name, getattr(before.limits, field.name), getattr(after.limits, field.name))
        for field in fields(after.limits)
    )
    return tuple(LimitMove(name, old, new) for name, old, new in pairs if old != new)
