"""Every path that a request could take, with the regions it could be processed in, and who says so since when.

`verify_residency.py` beside this package derives the same from the files alone, with nothing but Python's own library.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from corral.plan.callers import TenantPlan
from corral.plan.plan import ModelPlan, Plan, Target
from corral.plan.residency import stays_within
from corral.plan.tenants import served_to

FORMAT = "corral residency proof 1"


@dataclass(frozen=True)
class ResidencyPath:
    """One host that a request of one caller for one model can get to."""

    model: str
    tenant: str | None
    """None: anybody, as the stack declares no tenants."""
    host: str
    kind: str
    model_id: str
    role: str
    """`share`, `fallback` or `candidate`, which gets copies."""
    region: str | None
    """The one that is called, for a host that has one."""
    reaches: tuple[str, ...] | None
    """Where the request may be processed, cross-region profiles included; None: unknown."""
    residency: tuple[tuple[str, ...], ...]
    """What holds for it: that of the model or of the stack, then that of the tenant; empty: anywhere."""
    holds: bool
    """Whether all of `reaches` is within each of these; no residency always holds, what is unknown
    does."""
    source: str
    """Who says what this model is at this host: the catalog's source, or `stack`."""
    as_of: date | None
    verified: bool


def residency_paths(plan: Plan) -> tuple[ResidencyPath, ...]:
    """All of them, by model, tenant and host in order."""
    return tuple(
        _path(model, tenant, target)
        for model in plan.models
        for tenant, met in _callers(plan, model)
        for target in sorted(met.targets, key=lambda each: each.host)
        if target.called
    )


def _callers(plan: Plan, model: ModelPlan) -> Iterator[tuple[TenantPlan | None, ModelPlan]]:
    if not plan.tenants:
        yield None, model
    for tenant in plan.tenants_of(model.name):
        yield tenant, served_to(model, tenant)


def _path(model: ModelPlan, tenant: TenantPlan | None, target: Target) -> ResidencyPath:
    bounds = [(model.residency, model.allowed_regions)]
    bounds += [(tenant.residency, tenant.allowed_regions)] if tenant else []
    within = [(places, regions) for places, regions in bounds if places is not None]
    return ResidencyPath(
        model=model.name,
        tenant=tenant.name if tenant else None,
        host=target.host,
        kind=target.kind,
        model_id=target.model_id,
        role=target.role,
        region=target.region,
        reaches=target.reaches,
        residency=tuple(places for places, _ in within),
        holds=all(stays_within(target, regions) for _, regions in within),
        source=target.source,
        as_of=target.as_of,
        verified=target.verified,
    )
