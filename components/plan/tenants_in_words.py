"""Who may ask for a model, how much of it, and which hosts serve them, in words."""

from __future__ import annotations

from collections.abc import Iterator

from components.config.names import listed
from components.plan.plan import ModelPlan, Plan, Rate, TenantPlan
from components.plan.prose import number, size
from components.plan.tenancy import served_to


def who_may_ask(model: ModelPlan, plan: Plan) -> Iterator[str]:
    """A sentence for each tenant, and one for all who may not."""
    if not plan.tenants:
        yield "Anybody on this machine may ask for it, without a key: the stack declares no tenants."
        return
    for tenant in plan.tenants:
        if model.name in tenant.models:
            limits = "; ".join(_limits(model, tenant)) or "without limits of its own"
            yield f"{tenant.name} may ask for it, {limits}.{_hosts(model, tenant)}"
    others = [tenant.name for tenant in plan.tenants if model.name not in tenant.models]
    if others:
        yield f"{listed(others, 'and')} may not ask for it."


def _limits(model: ModelPlan, tenant: TenantPlan) -> Iterator[str]:
    own = dict(tenant.rates).get(model.name, Rate())
    for rate, of in ((own, "of it"), (tenant.rate, "of all models")):
        amounts = [(rate.requests, "requests"), (rate.tokens, "tokens")]
        said = [f"{number(amount)} {what}" for amount, what in amounts if amount is not None]
        if said:
            yield f"{' and '.join(said)} a minute {of}"
    if tenant.concurrent is not None:
        yield f"{number(tenant.concurrent)} requests at a time"
    if tenant.priority == "high":
        yield "with high priority"
    if tenant.body_limit is not None:
        yield f"{size(tenant.body_limit)} a request"


def _hosts(model: ModelPlan, tenant: TenantPlan) -> str:
    if tenant.residency is None:
        return ""
    live = [target.host for target in served_to(model, tenant).targets if target.live]
    within = listed(tenant.residency, "and")
    served = f"only {listed(live, 'and')} may serve it" if live else "no host may serve it"
    return f" Its requests are to stay within {within}: {served}."
