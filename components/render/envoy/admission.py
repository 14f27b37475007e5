"""What the gateway's first filter is told of those who may call, and of what they may ask for.

It is one flat table, since the filter reads an entry at a time and keeps it:

    version                    changes with the table, so that nothing is kept that no longer holds
    open                       where there are no tenants, and nobody is asked: the limits of all; else false
    key:<SHA-256>              the tenant of a key
    claim:<issuer>             the claim of its tokens that names the tenant
    vouched:<issuer> <value>   the tenant of a claim's value
    model:<name>               there is such a model
    tenant:<name>              the tenant's models, lane and limits
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from components.plan.plan import Limits, Plan, Rate, TenantPlan
from components.render.envoy.lanes import lane_of
from components.render.envoy.names import Resource


def _rate(rate: Rate) -> Resource:
    said = {"requests": rate.requests, "tokens": rate.tokens}
    return {what: amount for what, amount in said.items() if amount is not None}


def _tenant(tenant: TenantPlan, models: int, limits: Limits) -> Resource:
    said = {
        "total": limits.concurrent if tenant.priority == "high" else limits.concurrent_of_normal,
        "lane": lane_of(tenant),
        "models": dict.fromkeys(tenant.models, True) if len(tenant.models) < models else None,
        "rate": _rate(tenant.rate),
        "rates": {model: _rate(rate) for model, rate in tenant.rates} or None,
        "concurrent": tenant.concurrent,
        "body": tenant.body_limit,
    }
    return {key: value for key, value in said.items() if value is not None}


def context(plan: Plan, keys: Mapping[str, str]) -> Resource:
    """The table; `keys` are the tenants by the SHA-256 of their keys."""
    said: Resource = {f"model:{model.name}": True for model in plan.models}
    if plan.tenants:
        said["open"] = False
        said |= {f"key:{key}": tenant for key, tenant in keys.items()}
        for issuer in plan.issuers:
            said[f"claim:{issuer.issuer}"] = issuer.claim
            said |= {f"vouched:{issuer.issuer} {value}": each.name for each in plan.tenants for value in each.claims}
        said |= {f"tenant:{tenant.name}": _tenant(tenant, len(plan.models), plan.limits) for tenant in plan.tenants}
    else:
        said["open"] = {"total": plan.limits.concurrent} if plan.limits.concurrent else {}
    version = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
    return {"version": version, **said}
