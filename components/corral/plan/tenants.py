"""Who may call, as the stack declares it, what of a model's routing is left for one of them, and both in words.

Policy.  A stack without tenants asks nobody who they are on the local engine, which then listens on loopback only;
on the kubernetes engine it has one, named `default`.  A tenant may ask for every model unless it names some.  What its
residency does not allow is as if the stack had not named that host for the model: the other sharing hosts take over by
their weights, and where none of these is left, the fallbacks in order.
"""

from __future__ import annotations

from collections.abc import Iterator

from corral.catalog.catalog import Catalog
from corral.config import tenants as declared
from corral.config.problems import listed, number, size
from corral.config.stack import Stack
from corral.plan.callers import Budget, Issuer, Rate, TenantPlan
from corral.plan.money import budget_text
from corral.plan.plan import ModelPlan, Plan
from corral.plan.residency import allowed, stays_within

_HASH = "sha256:"


def tenants(stack: Stack, catalog: Catalog) -> tuple[TenantPlan, ...]:
    """Those who may call, in order of name; empty: anybody."""
    by_name = stack.tenants
    if by_name is None:
        by_name = {declared.DEFAULT: declared.Tenant()} if stack.engine.kind == "kubernetes" else {}
    return tuple(_tenant(name, tenant, stack, catalog) for name, tenant in sorted(by_name.items()))


def issuers(stack: Stack) -> tuple[Issuer, ...]:
    """Who may vouch for them, in order of name."""
    return tuple(
        Issuer(each.issuer, tuple(sorted(set(each.audiences))), each.jwks, each.jwks_file, each.claim)
        for each in sorted(stack.issuers, key=lambda each: each.issuer)
    )


def served_to(model: ModelPlan, tenant: TenantPlan) -> ModelPlan:
    """The model as the tenant's requests meet it: only with the hosts that its residency allows."""
    regions = tenant.allowed_regions
    return model if regions is None else model.only(lambda target: stays_within(target, regions))


def keys_variable(tenant: str) -> str:
    """The environment variable in which the local engine looks for keys of a tenant."""
    return f"CORRAL_TENANT_{tenant.upper().replace('-', '_')}_KEYS"


def _tenant(name: str, tenant: declared.Tenant, stack: Stack, catalog: Catalog) -> TenantPlan:
    residency = tenant.residency
    return TenantPlan(
        name=name,
        keys=tuple(sorted({key.removeprefix(_HASH) for key in tenant.keys})),
        claims=tuple(sorted(set(tenant.claims or [name]))) if stack.issuers else (),
        models=tuple(sorted(set(tenant.models or stack.models))),
        residency=tuple(sorted(set(residency))) if residency else None,
        allowed_regions=allowed(residency, catalog) if residency else None,
        priority=tenant.priority,
        rate=_rate(tenant),
        rates=tuple((model, _rate(rate)) for model, rate in sorted(tenant.per_model.items())),
        concurrent=tenant.concurrent_requests,
        body_limit=tenant.body_limit,
        budget=tenant.budget and Budget(tenant.budget.day, tenant.budget.month, tenant.budget.at_limit),
    )


def _rate(rate: declared.Rate) -> Rate:
    return Rate(rate.requests_per_minute, rate.tokens_per_minute)


def who_may_ask(model: ModelPlan, plan: Plan) -> Iterator[str]:
    """A sentence for each tenant, and one for all who may not."""
    if not plan.tenants:
        yield "Anybody on this machine may ask for it, without a key: the stack declares no tenants."
        return
    callers = plan.tenants_of(model.name)
    for tenant in callers:
        limits = "; ".join(_limits(model, tenant)) or "without limits of its own"
        yield f"{tenant.name} may ask for it, {limits}.{_hosts(model, tenant)}"
    others = [tenant.name for tenant in plan.tenants if tenant not in callers]
    if others:
        yield f"{listed(others, 'and')} may not ask for it."


def _limits(model: ModelPlan, tenant: TenantPlan) -> Iterator[str]:
    own = dict(tenant.rates).get(model.name, Rate())
    for rate, of in ((own, "of it"), (tenant.rate, "of all models")):
        amounts = [(rate.requests, "requests"), (rate.tokens, "tokens")]
        limits = [f"{number(amount)} {what}" for amount, what in amounts if amount is not None]
        if limits:
            yield f"{' and '.join(limits)} a minute {of}"
    if tenant.budget is not None:
        yield budget_text(tenant.budget)
    if tenant.concurrent is not None:
        yield f"{number(tenant.concurrent)} requests at a time"
    if tenant.priority == "high":
        yield "with high priority"
    if tenant.body_limit is not None:
        yield f"{size(tenant.body_limit)} a request"


def _hosts(model: ModelPlan, tenant: TenantPlan) -> str:
    if tenant.residency is None:
        return ""
    live = [target.host for target in served_to(model, tenant).live]
    within = listed(tenant.residency, "and")
    served = f"only {listed(live, 'and')} may serve it" if live else "no host may serve it"
    return f" Its requests are to stay within {within}: {served}."
