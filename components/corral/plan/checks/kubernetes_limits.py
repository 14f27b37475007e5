"""What the definitions of Envoy Gateway 1.8 and Envoy AI Gateway 1.1 have room for, where a stack could need more."""

from __future__ import annotations

from collections.abc import Iterator

from corral.plan.checks.findings import Finding
from corral.plan.plan import ModelPlan, Plan
from corral.plan.residency import stays_within

_LIMITS = 256
"""Rules of one policy of limits (BackendTrafficPolicy)."""

_GROUPS = 15
"""Rules of a route (AIGatewayRoute)."""

_ISSUERS, _AUDIENCES = 16, 8
"""Of one policy (SecurityPolicy)."""


def room(plan: Plan) -> Iterator[Finding]:
    """Errors, of a stack of the kubernetes engine."""
    if plan.engine != "kubernetes":
        return
    limits = sum((rate.requests is not None) + (rate.tokens is not None) for rate in plan.rates)
    if limits > _LIMITS:
        yield _full("limits", f"limits of its tenants in all, {limits} of {_LIMITS}", "leave some perModel out")
    for model in plan.models:
        groups = _groups(plan, model)
        if groups > _GROUPS:
            yield _full(
                f"residency/{model.name}",
                f"sets of hosts of {model.name} that the residency of its tenants leaves, {groups} of {_GROUPS}",
                "have tenants share a residency",
            )
    if len(plan.issuers) > _ISSUERS:
        yield _full("issuers", f"issuers, {len(plan.issuers)} of {_ISSUERS}", "leave some out")
    for issuer in plan.issuers:
        if len(issuer.audiences) > _AUDIENCES:
            found = f"audiences of {issuer.issuer}, {len(issuer.audiences)} of {_AUDIENCES}"
            yield _full(f"audiences/{issuer.issuer}", found, "leave some out")


def _groups(plan: Plan, model: ModelPlan) -> int:
    allowed = {tenant.allowed_regions for tenant in plan.tenants_of(model.name)}
    return len({frozenset(to.host for to in model.targets if stays_within(to, regions)) for regions in allowed})


def _full(what: str, found: str, way_out: str) -> Finding:
    return Finding("error", f"room/{what}", f"the kubernetes engine has no room for so many {found}", way_out)
