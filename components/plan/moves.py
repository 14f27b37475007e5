"""The move: what changed between two plans, in an operator's terms — shares, fallbacks, money, places, limits, tenants.

Policy.  A model is in a move if anything of this changed for it.  Money is what the sharing hosts cost by weight, as
everywhere.  Places are the regions in which any request may be processed, over sharing hosts and fallbacks; a host of
which nobody knows where it processes stands for itself, so that an unknown place is never taken for none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal

from components.plan.money import Blended, Monthly, Unpriced, blended, monthly
from components.plan.plan import ModelPlan, Plan, Target
from components.plan.tenant_moves import IssuerMove, TenantMove, issuer_moves, tenant_moves


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
    return {target.host: target.share for target in model.targets if target.priority == 0} if model else {}


def _named(model: ModelPlan | None) -> dict[str, str]:
    return {target.host: target.model_id for target in model.targets} if model else {}


def _ids(before: ModelPlan | None, after: ModelPlan | None) -> tuple[IdMove, ...]:
    old, new = _named(before), _named(after)
    both = sorted(old.keys() & new.keys())
    return tuple(IdMove(host, old[host], new[host]) for host in both if old[host] != new[host])


def _reached(model: ModelPlan | None) -> tuple[frozenset[str], frozenset[str]]:
    """The regions that a request can reach, and the hosts whose regions are unknown."""
    live: Iterable[Target] = [target for target in model.targets if target.live] if model else []
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
