"""What changed between two plans for those who may call: who they are, what they may ask for, and how much.

Policy.  A model that only one of the plans has is no change of what a tenant may ask for: the model's own move says it.
Of a key only that it came or went is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from components.plan.plan import Issuer, Plan, Rate, TenantPlan

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
        limits=tuple(_limits(before, after)),
        allowed=tuple(sorted(new - old)),
        withdrawn=tuple(sorted(old - new)),
        keys_added=len(new_keys - old_keys),
        keys_removed=len(old_keys - new_keys),
        before=_side(before),
        after=_side(after),
    )
    differs = move.limits or old != new or old_keys != new_keys or move.before != move.after
    return move if differs else None


def _change(before: TenantPlan | Issuer | None, after: TenantPlan | Issuer | None) -> Change:
    return "changed" if before and after else "added" if after else "removed"


def _limits(before: TenantPlan | None, after: TenantPlan | None) -> Iterator[TenantLimit]:
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


def _side(tenant: TenantPlan | None) -> TenantSide | None:
    return tenant and TenantSide(tenant.residency, tenant.priority, len(tenant.keys), tenant.claims)


def _may_ask_for(tenant: TenantPlan | None, common: Iterable[str]) -> frozenset[str]:
    return frozenset(tenant.models).intersection(common) if tenant else frozenset()


def _keys(tenant: TenantPlan | None) -> frozenset[str]:
    return frozenset(tenant.keys) if tenant else frozenset()


def _models(plan: Plan | None) -> frozenset[str]:
    return frozenset(model.name for model in plan.models) if plan else frozenset()
