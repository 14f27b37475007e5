"""Whose limit a drill exceeds, and how.  Pure.

Policy.  The tenant with the limit that the fewest requests exceed; where no tenant has one that is exceeded within
seconds, a tenant of the drill's own, which the copy of the stack is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from components.plan.plan import Plan, Rate, TenantPlan

_MOST = 600
"""Requests that it may take: a few seconds' worth."""

_OWN = Rate(requests=60)
"""The limit of the drill's own tenant."""

_LONG = 1_000
"""Words of a prompt that is to use up tokens."""


@dataclass(frozen=True)
class Exhaustion:
    """Requests of one tenant until it is refused."""

    tenant: str
    model: str
    limit: Literal["requests", "tokens"]
    allowed: int
    """In a minute."""

    @property
    def words(self) -> int:
        """Of each prompt."""
        return _LONG if self.limit == "tokens" else 1

    @property
    def enough(self) -> int:
        """Requests by which the limit is exceeded, whatever else the tenant's minute holds."""
        return 2 * self.allowed // self.words + 50


def exhaustion(plan: Plan) -> Exhaustion | None:
    """The limit to exceed; None where the plan has no tenants, and so no limits."""
    if not plan.tenants:
        return None
    declared = [found for tenant in plan.tenants for found in _limits(tenant)]
    quick = [found for found in declared if found.enough <= _MOST]
    own = _named(plan, "drill-limited")
    return min(quick, key=lambda found: found.enough, default=None) or Exhaustion(
        own, plan.models[0].name, "requests", _OWN.requests or 0
    )


def caller(plan: Plan) -> str | None:
    """The tenant of the steady load, which has no limits; None: nobody is asked who they are."""
    return _named(plan, "drill") if plan.tenants else None


def own_tenants(plan: Plan) -> tuple[TenantPlan, ...]:
    """The tenants that the copy of the stack has beside those of the stack; they have no key yet."""
    exceeded, steady = exhaustion(plan), caller(plan)
    if exceeded is None or steady is None:
        return ()
    models = tuple(model.name for model in plan.models)
    known = {tenant.name for tenant in plan.tenants}
    return (_tenant(steady, models, Rate()),) + (
        () if exceeded.tenant in known else (_tenant(exceeded.tenant, models, _OWN),)
    )


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


def _limits(tenant: TenantPlan) -> Iterator[Exhaustion]:
    for model, rate in ((tenant.models[0], tenant.rate), *tenant.rates):
        if rate.requests is not None:
            yield Exhaustion(tenant.name, model, "requests", rate.requests)
        if rate.tokens is not None:
            yield Exhaustion(tenant.name, model, "tokens", rate.tokens)


def _named(plan: Plan, name: str) -> str:
    """The name, or one like it that no tenant of the plan has."""
    taken = {tenant.name for tenant in plan.tenants}
    while name in taken:
        name += "-2"
    return name
