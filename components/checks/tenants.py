"""Every tenant can be told by something, is served what it may ask for, and meets the limits it was given."""

from __future__ import annotations

from collections.abc import Iterator

from components.checks.findings import Finding
from components.config.names import listed
from components.plan.plan import ModelPlan, Plan, TenantPlan
from components.plan.prose import size
from components.plan.regions import stays_within
from components.plan.tenancy import keys_variable


def tenants(plan: Plan) -> Iterator[Finding]:
    """Errors: a tenant whose residency leaves a model no host.  Warnings: one that leaves it fallbacks only, a limit
    that the engine's own undercuts, hashes that the engine cannot use.  Notes: a tenant without a key in the stack."""
    models = {model.name: model for model in plan.models}
    for tenant in plan.tenants:
        yield from _known(tenant, plan)
        for name in tenant.models:
            yield from _served(models[name], tenant)
        taken = plan.limits.body_limit
        if tenant.body_limit is not None and tenant.body_limit > taken:
            yield Finding(
                "warning",
                f"tenant/{tenant.name}/bodyLimit",
                f"{tenant.name} may send {size(tenant.body_limit)}, but the engine takes {size(taken)}",
                f"lower corral:tenants.{tenant.name}.bodyLimit, or raise corral:engine.bodyLimit",
            )


def _known(tenant: TenantPlan, plan: Plan) -> Iterator[Finding]:
    if plan.engine == "kubernetes" and tenant.keys:
        yield Finding(
            "warning",
            f"tenant/{tenant.name}/keys",
            f"the kubernetes engine compares keys, not hashes: it takes none of corral:tenants.{tenant.name}.keys",
            f"give the keys encrypted, corral:tenantKeys.{tenant.name}, or accept it if the hashes are for rehearsals",
        )
    if plan.engine == "embedded" and not (tenant.keys or tenant.claims):
        yield Finding(
            "note",
            f"tenant/{tenant.name}/keys",
            f"the stack has no key of {tenant.name}, nor an issuer that could vouch for it",
            f"make one with `corral key new {tenant.name}`, or give it by {keys_variable(tenant.name)}",
        )


def _served(model: ModelPlan, tenant: TenantPlan) -> Iterator[Finding]:
    if tenant.residency is None or not model.sharing:
        return
    left = [target for target in model.targets if target.live and stays_within(target, tenant.allowed_regions)]
    if any(target.share for target in left):
        return
    name, within = f"tenant/{tenant.name}/{model.name}", listed(tenant.residency, "and")
    widen = f"widen corral:tenants.{tenant.name}.residency"
    if left:
        yield Finding(
            "warning",
            name,
            f"no sharing host of {model.name} is known to stay within {within}: requests of {tenant.name} all go to "
            f"{', then '.join(target.host for target in left)}",
            f"give a host within {within} a share, {widen}, or accept it",
        )
    else:
        yield Finding(
            "error",
            name,
            f"no host of {model.name} is known to stay within {within}, where requests of {tenant.name} are to be "
            "processed",
            f"name such a host under corral:models.{model.name}, take {model.name} out of corral:tenants."
            f"{tenant.name}.models, or {widen}",
        )
