"""Every tenant can be identified, is served what it may ask for, and meets the limits it was given, as far as an engine
enforces them.

On both engines a tenant is stopped by what it has used, and the tokens of an answer are used when it has been given.
The local engine counts in its own memory.  The kubernetes engine counts requests and tokens in Redis for all its
Envoys together.  Of what is under way it limits nothing, it measures a body before it knows whose it is, and
it serves requests as they come (Envoy Gateway 1.8.3: circuit breakers are of a host's cluster, buffers of the first
route that a request is on).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address

from corral.config.problems import listed, number, size
from corral.plan.callers import Rate, TenantPlan
from corral.plan.checks.findings import Finding
from corral.plan.plan import Load, ModelPlan, Plan, Target
from corral.plan.residency import stays_within
from corral.plan.tenants import keys_variable, served_to

_LIMITS = 256
"""Rules of one policy of limits (BackendTrafficPolicy of Envoy Gateway 1.8)."""

_GROUPS = 15
"""Rules of a route (AIGatewayRoute of Envoy AI Gateway 1.1)."""

MOST_HOSTS = 64
"""Of a model on the local engine: `MOST_TARGETS` of its module."""

_DAY_MINUTES, _MONTH_DAYS = 1_440, 31
"""Of the longest month."""

_ISSUERS, _AUDIENCES = 16, 8
"""Of one policy (SecurityPolicy of Envoy Gateway 1.8)."""


def tenants(plan: Plan) -> Iterator[Finding]:
    """Errors: a tenant whose residency leaves a model no host; one with a budget whose requests cost nobody knows what.
    Warnings: one that its residency leaves fallbacks only, a limit that the engine's own undercuts, hashes that the
    engine cannot use.  Notes: a tenant without a key in the stack."""
    models = {model.name: model for model in plan.models}
    for tenant in plan.tenants:
        yield from _identified(tenant, plan)
        for name in tenant.models:
            yield from _served(models[name], tenant)
        if plan.engine == "local":
            yield from _priced([models[name] for name in tenant.models], tenant)
        limit = plan.request_settings.body_limit
        if tenant.body_limit is not None and tenant.body_limit > limit:
            yield Finding(
                "warning",
                f"tenant/{tenant.name}/bodyLimit",
                f"{tenant.name} may send {size(tenant.body_limit)}, but the engine takes {size(limit)}",
                f"lower corral:tenants.{tenant.name}.bodyLimit, or raise corral:engine.bodyLimit",
            )


def _identified(tenant: TenantPlan, plan: Plan) -> Iterator[Finding]:
    if plan.engine == "kubernetes" and tenant.keys:
        yield Finding(
            "warning",
            f"tenant/{tenant.name}/keys",
            f"the kubernetes engine compares keys, not hashes: it takes none of corral:tenants.{tenant.name}.keys",
            f"give the keys encrypted, corral:tenantKeys.{tenant.name}, or accept it if the hashes are for rehearsals",
        )
    if plan.engine == "local" and not (tenant.keys or tenant.claims):
        yield Finding(
            "note",
            f"tenant/{tenant.name}/keys",
            f"the stack has no key of {tenant.name}, nor an issuer that could vouch for it",
            f"make one with `corral key new {tenant.name}`, or give it by {keys_variable(tenant.name)}",
        )


def _served(model: ModelPlan, tenant: TenantPlan) -> Iterator[Finding]:
    if tenant.residency is None or not model.sharing:
        return
    left = [target for target in model.live if stays_within(target, tenant.allowed_regions)]
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


def _priced(models: Sequence[ModelPlan], tenant: TenantPlan) -> Iterator[Finding]:
    if tenant.budget is None:
        return
    live = [(model.name, target) for model in models for target in served_to(model, tenant).live]
    unknown = [f"{name} at {target.host}" for name, target in live if target.price is None]
    if unknown:
        yield Finding(
            "error",
            f"tenant/{tenant.name}/budget",
            f"{tenant.name} has a budget, and it is unknown what its requests cost: the price of "
            f"{', '.join(unknown)} is in no list",
            "see whether `corral prices lock` finds it, or give it in dollars per million tokens, "
            "corral:hosts.<host>.models.<model>.price; or take the model out of "
            f"corral:tenants.{tenant.name}.models",
        )


def _same_quota(tenant: TenantPlan, plan: Plan) -> str:
    """The tokens a minute that cost no more than its budget, if every token is the dearest: `200k for search`."""
    prices = [
        target.price for model in plan.models if model.name in tenant.models for target in served_to(model, tenant).live
    ]
    dearest = max((max(price.input, price.output) for price in prices if price), default=0)
    minutes = {"day": _DAY_MINUTES, "month": _MONTH_DAYS * _DAY_MINUTES}
    windows = tenant.budget.windows if tenant.budget else ()
    if None in prices or not dearest:
        return f"{tenant.name}: its prices are {'unknown' if None in prices else 'nothing'}"
    quota = min(limit * 10**6 // (dearest * minutes[window]) for window, limit in windows)
    return f"{tenant.name}: {number(quota)}" if quota else f"{tenant.name}: less than 1"


def listener(plan: Plan) -> Iterator[Finding]:
    """Warnings: the local engine can be called from other machines, and keys and prompts go there as they are."""
    local = plan.listener
    if local and not local.tls and not ip_address(local.address).is_loopback:
        yield Finding(
            "warning",
            "listener/tls",
            f"the local engine listens on {local.address} without TLS: whoever is on the way can read keys and prompts",
            "give corral:engine.certificate, put TLS in front of it, listen on loopback, or accept it",
        )


def enforcement(plan: Plan) -> Iterator[Finding]:
    """One for each feature in use, whoever uses it.  Notes: what is not enforced to the letter.  Warnings: what is not
    enforced at all."""
    if any(rate.tokens for rate in plan.rates):
        yield _note(
            "tokensPerMinute",
            "the tokens of an answer are counted when it ends, so that a tenant can exceed its tokens a minute by what "
            "is under way",
            "limit that as well, with concurrentRequests"
            if plan.engine == "local"
            else "limit requestsPerMinute as well",
        )
    if plan.engine == "local":
        if any(rate != Rate() for rate in plan.rates):
            yield _note(
                "local",
                "what tenants have used in a minute is counted by one running engine, and forgotten when it ends",
                "count on the kubernetes engine where several must share the counts",
            )
        return
    if any(rate != Rate() for rate in plan.rates):
        yield _note(
            "kubernetes",
            "requests pass uncounted while those who count, or their Redis, cannot be reached",
            "watch the deployments envoy-ratelimit and corral-redis",
        )
    if copied := [model.name for model in plan.models if model.candidate]:
        yield _warning(
            "mirror",
            f"on a cluster no request is copied: the mirror of {listed(copied, 'and')} is for the local engine",
            "leave it out, or accept it",
        )
    if kept := [model.name for model in plan.models if model.affinity]:
        yield _warning(
            "affinity",
            f"on a cluster each request goes to any host, by the shares: sessions of {listed(kept, 'and')} keep none",
            "leave out affinity, or accept it",
        )
    if plan.request_settings.concurrent or any(tenant.concurrent for tenant in plan.tenants):
        yield _warning(
            "concurrentRequests",
            "the kubernetes engine does not limit what is under way: concurrentRequests, of the engine or of a tenant, "
            "is for the local engine",
            "limit requestsPerMinute, or accept it",
        )
    if limited := sorted({target.host for model in plan.models for target in _limited(model)}):
        yield _note(
            "limits",
            f"the kubernetes engine does not count what {listed(limited, 'and')} {_HAS[len(limited) > 1]} room for: a "
            "full host is asked, and what it refuses goes on; a vLLM refuses nothing, and has requests wait",
            "leave such hosts room in their shares (corral plan says how much), or count on the local engine",
        )
    if awaited := sorted({target.host for _, target in plan.live if target.overflow_wait}):
        yield _warning(
            "overflow",
            f"on a cluster no request waits for a host that is full: overflow of {listed(awaited, 'and')} is for the "
            "local engine",
            "leave it out, or accept it",
        )
    if budgeted := [tenant for tenant in plan.tenants if tenant.budget]:
        quotas = "; ".join(_same_quota(tenant, plan) for tenant in budgeted)
        yield _warning(
            "budget",
            "the kubernetes engine counts tokens, not money: the budget of a tenant is for the local engine",
            f"set the tokensPerMinute that cannot cost more ({quotas}), or accept it",
        )
    if any(_is_bound(tenant, plan) for tenant in plan.tenants):
        yield _warning(
            "bodyLimit",
            "the kubernetes engine has one limit of bodies for all tenants: theirs is for the local engine",
            "lower corral:engine.bodyLimit, or accept it",
        )
    if plan.issuers:
        yield _note(
            "issuers",
            "the kubernetes engine asks callers for a token of an issuer, and takes no keys beside them",
            "have every tenant come with a token there",
        )
    if any(tenant.priority == "high" for tenant in plan.tenants):
        yield _warning(
            "priority",
            "the kubernetes engine serves requests as they come: priority is for the local engine",
            "keep other tenants in bounds with limits, or accept it",
        )


_HAS = ("has", "have")


def _limited(model: ModelPlan) -> list[Target]:
    """The hosts beside others that the local engine would pass over when they are full."""
    return [each for each in model.live if each.limit != Load() or each.host_limit != Load()] if model.live[1:] else []


def _is_bound(tenant: TenantPlan, plan: Plan) -> bool:
    return tenant.body_limit is not None and tenant.body_limit < plan.request_settings.body_limit


def _warning(what: str, message: str, way_out: str) -> Finding:
    return Finding("warning", f"enforced/{what}", message, way_out)


def _note(what: str, message: str, way_out: str) -> Finding:
    return Finding("note", f"enforced/{what}", message, way_out)


def capacity(plan: Plan) -> Iterator[Finding]:
    """Errors: more than the local engine's module has room for, or the definitions of a cluster's gateways."""
    if plan.engine == "local":
        for model in plan.models:
            if (hosts := len(model.live)) > MOST_HOSTS:
                yield _full(
                    f"hosts/{model.name}",
                    f"hosts of {model.name}, {hosts} of {MOST_HOSTS}",
                    f"leave some out of corral:models.{model.name}",
                    "local",
                )
        return
    limits = sum((rate.requests is not None) + (rate.tokens is not None) for rate in plan.rates)
    if limits > _LIMITS:
        yield _full("limits", f"limits of its tenants in all, {limits} of {_LIMITS}", "leave some perModel out")
    for model in plan.models:
        allowed = {tenant.allowed_regions for tenant in plan.tenants_of(model.name)}
        groups = len({frozenset(to.host for to in model.targets if stays_within(to, regions)) for regions in allowed})
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
            audiences = f"audiences of {issuer.issuer}, {len(issuer.audiences)} of {_AUDIENCES}"
            yield _full(f"audiences/{issuer.issuer}", audiences, "leave some out")


def _full(what: str, number: str, way_out: str, engine: str = "kubernetes") -> Finding:
    return Finding("error", f"room/{what}", f"the {engine} engine has no room for so many {number}", way_out)
