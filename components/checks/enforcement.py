"""What an engine does not enforce to the letter, of what the stack's tenants are declared.

On both engines a tenant is stopped by what it has used, and the tokens of an answer are used when it has been given.
The embedded engine counts in its own memory.  The kubernetes engine counts requests and tokens in Redis for all its
Envoys together.  Of what is under way it limits nothing, it measures a body before it knows whose it is, and
it serves requests as they come (Envoy Gateway 1.8.3: circuit breakers are of a host's cluster, buffers of the first
route that a request is on).
"""

from __future__ import annotations

from collections.abc import Iterator

from components.checks.findings import Finding
from components.plan.plan import Plan, Rate, TenantPlan


def enforcement(plan: Plan) -> Iterator[Finding]:
    """One for each feature in use, whoever uses it.  Notes: what is not enforced to the letter.  Warnings: what is not
    enforced at all."""
    rates = [rate for tenant in plan.tenants for rate in _rates(tenant)]
    if any(rate.tokens for rate in rates):
        yield _note(
            "tokensPerMinute",
            "the tokens of an answer are counted when it ends, so that a tenant can exceed its tokens a minute by what "
            "is under way",
            "limit that as well, with concurrentRequests"
            if plan.engine == "embedded"
            else "limit requestsPerMinute as well",
        )
    if plan.engine == "embedded":
        if any(rate != Rate() for rate in rates):
            yield _note(
                "embedded",
                "what tenants have used in a minute is counted by one running engine, and forgotten when it ends",
                "count on the kubernetes engine where several must share the counts",
            )
        return
    if any(rate != Rate() for rate in rates):
        yield _note(
            "kubernetes",
            "requests pass uncounted while those who count, or their Redis, cannot be reached",
            "watch the deployments envoy-ratelimit and corral-redis",
        )
    if plan.limits.concurrent or any(tenant.concurrent for tenant in plan.tenants):
        yield _warning(
            "concurrentRequests",
            "the kubernetes engine does not limit what is under way: concurrentRequests, of the engine or of a tenant, "
            "is for the embedded engine",
            "limit requestsPerMinute, or accept it",
        )
    if any(_is_bound(tenant, plan) for tenant in plan.tenants):
        yield _warning(
            "bodyLimit",
            "the kubernetes engine has one limit of bodies for all tenants: theirs is for the embedded engine",
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
            "the kubernetes engine serves requests as they come: priority is for the embedded engine",
            "keep other tenants in bounds with limits, or accept it",
        )


def _rates(tenant: TenantPlan) -> tuple[Rate, ...]:
    return (tenant.rate, *(rate for _, rate in tenant.rates))


def _is_bound(tenant: TenantPlan, plan: Plan) -> bool:
    return tenant.body_limit is not None and tenant.body_limit < plan.limits.body_limit


def _warning(what: str, message: str, way_out: str) -> Finding:
    return Finding("warning", f"enforced/{what}", message, way_out)


def _note(what: str, message: str, way_out: str) -> Finding:
    return Finding("note", f"enforced/{what}", message, way_out)
