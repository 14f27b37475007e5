"""Lanes: a model as tenants of one residency meet it.

Tenants without a residency of their own have none; those with the same residency share one.  Where it allows every host
of a model, the lane leads to the model's own clusters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from components.plan.plan import ModelPlan, Plan, TenantPlan
from components.plan.tenancy import served_to


@dataclass(frozen=True)
class Lane:
    """One model for some tenants."""

    key: str
    """What the model's header says."""
    model: ModelPlan
    """With the hosts that the lane allows; its name has the lane in it where they are not all of the model's."""
    name: str
    """The model's own name."""


def lane_of(tenant: TenantPlan) -> str | None:
    """The lane that a tenant is in; None: it meets the models as they are."""
    return "+".join(tenant.residency) if tenant.residency else None


def lanes(plan: Plan, model: ModelPlan) -> Iterator[Lane]:
    """The model as it is, and as the tenants that may ask for it meet it."""
    yield Lane(model.name, model, model.name)
    kept = [target for target in model.targets if target.live]
    strict = {lane: tenant for tenant in plan.tenants if model.name in tenant.models and (lane := lane_of(tenant))}
    for lane, tenant in sorted(strict.items()):
        key, met = f"{model.name} {lane}", served_to(model, tenant)
        same = [target for target in met.targets if target.live] == kept
        yield Lane(key, model if same else replace(met, name=key), model.name)


def own_models(plan: Plan) -> Iterator[ModelPlan]:
    """Every model that needs clusters: as it is, and for lanes that allow fewer hosts but not none."""
    for model in plan.models:
        met = {lane.model.name: lane.model for lane in lanes(plan, model)}
        yield from (each for each in met.values() if any(target.live for target in each.targets))
