"""Who may call, from what the stack declares of them; and what of a model's routing is left for one of them.

Policy.  A stack without tenants asks nobody who they are on the embedded engine, which then listens on loopback only;
on the kubernetes engine it has one, named `default`.  A tenant may ask for every model unless it names some.  What its
residency does not allow is as if the stack had not named that host for the model: the other sharing hosts take over by
their weights, and where none of these is left, the fallbacks in order.
"""

from __future__ import annotations

from dataclasses import replace

from components.catalog.catalog import Catalog
from components.config import tenants as declared
from components.config.stack import Stack
from components.plan.plan import Issuer, ModelPlan, Rate, TenantPlan
from components.plan.regions import allowed, stays_within

_HASH = "sha256:"


def tenants(stack: Stack, catalog: Catalog) -> tuple[TenantPlan, ...]:
    """Those who may call, in order of name; empty: anybody."""
    said = stack.tenants
    if said is None:
        said = {declared.DEFAULT: declared.Tenant()} if stack.engine.kind == "kubernetes" else {}
    return tuple(_tenant(name, tenant, stack, catalog) for name, tenant in sorted(said.items()))


def issuers(stack: Stack) -> tuple[Issuer, ...]:
    """Who may vouch for them, in order of name."""
    return tuple(
        Issuer(each.issuer, tuple(sorted(set(each.audiences))), each.jwks, each.jwks_file, each.claim)
        for each in sorted(stack.issuers, key=lambda each: each.issuer)
    )


def served_to(model: ModelPlan, tenant: TenantPlan) -> ModelPlan:
    """The model as the tenant's requests meet it: only with the hosts that its residency allows.

    Shares and weights stay as they are; where no sharing host is left, the first fallback moves up to priority 0.
    """
    if tenant.allowed_regions is None:
        return model
    left = [target for target in model.targets if stays_within(target, tenant.allowed_regions)]
    order = {old: new for new, old in enumerate(sorted({target.priority for target in left if target.live}))}
    moved = (replace(target, priority=order.get(target.priority, 0)) for target in left)
    return replace(model, targets=tuple(sorted(moved, key=lambda target: (target.priority, target.host))))


def keys_variable(tenant: str) -> str:
    """The environment variable in which the embedded engine looks for keys of a tenant."""
    return f"CORRAL_TENANT_{tenant.upper().replace('-', '_')}_KEYS"


def _tenant(name: str, said: declared.Tenant, stack: Stack, catalog: Catalog) -> TenantPlan:
    residency = said.residency
    return TenantPlan(
        name=name,
        keys=tuple(sorted({key.removeprefix(_HASH) for key in said.keys})),
        claims=tuple(sorted(set(said.claims or [name]))) if stack.issuers else (),
        models=tuple(sorted(set(said.models or stack.models))),
        residency=tuple(sorted(set(residency))) if residency else None,
        allowed_regions=allowed(residency, catalog) if residency else None,
        priority=said.priority,
        rate=_rate(said),
        rates=tuple((model, _rate(rate)) for model, rate in sorted(said.per_model.items())),
        concurrent=said.concurrent_requests,
        body_limit=said.body_limit,
    )


def _rate(said: declared.Rate) -> Rate:
    return Rate(said.requests_per_minute, said.tokens_per_minute)
