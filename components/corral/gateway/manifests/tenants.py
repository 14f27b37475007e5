"""Tenants, as the gateway knows them: who calls, for which models, how often, and which hosts may serve them.

Callers.  The gateway says in `TENANT_HEADER` who calls.  An API key gives the name under which it lies in the tenants'
secret: `search` for the first key of search, `search.2` for its second; no tenant's name has a dot in it.  A token
gives the value of its issuer's claim.  A stack that has issuers has tokens alone, as the gateway asks everybody for a
key once it asks anybody (Envoy Gateway 1.8.3).

Access.  One policy, on the Gateway.  On a route it could be walked around: until its body is read, a request is on the
route that its headers name.  Where every tenant may ask for every model, whoever has proved to be a tenant may.
Otherwise what no rule allows is refused with 403: a caller that is no tenant, a model that a tenant does not name, and
of a tenant that names models also one that is not there.  That is decided last, when Envoy AI Gateway has read the
model from the body.  The list of models (`GET /v1/models`) is the same for all.

Limits.  One policy, on the Gateway, counted in Redis for all Envoys together; the policies of models are merged with
it, or it would hold for none of them.  Each rule is `shared`: otherwise Envoy Gateway counts each rule of each route
for itself, and a tenant would have its limit once per model, and again while a model has two routes.  Requests are
counted when they come; tokens are compared when a request comes, and counted when its answer has been given.

Residency.  Tenants for whom the same hosts of a model are left go together.  Each such group has a rule of its own in
the model's route, before which nobody comes who is not in it: a caller of whom no rule knows is served by none.  Where
the residency of no tenant leaves out any host, one rule serves all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from corral.gateway.manifests.resource import Inputs, reference
from corral.gateway.names import METADATA, MODEL_HEADER, TENANT_HEADER, TENANT_SECRET, object_name
from corral.plan.callers import Issuer, Rate, TenantPlan
from corral.plan.plan import ModelPlan, Plan
from corral.plan.tenants import served_to

_ANOTHER_KEY = "([.][0-9]+)?"

_RULE_VALUES = 256
"""Values of a header that one rule holds."""

_TOTAL_TOKENS = "total_tokens"

TOKEN_COSTS = [{"metadataKey": _TOTAL_TOKENS, "type": "TotalToken"}]
"""Tokens that Envoy AI Gateway is to count for limits."""


_BY_API_KEY: dict[str, Any] = {
    "apiKeyAuth": {
        "credentialRefs": [reference("Secret", TENANT_SECRET)],
        "extractFrom": [{"headers": ["Authorization"]}],
        "forwardClientIDHeader": TENANT_HEADER,
        "sanitize": True,
    }
}
"""A key names its tenant; the key itself goes no further."""


@dataclass(frozen=True)
class Caller:
    """One tenant, as the header says it."""

    values: tuple[str, ...]
    """Each of them whole."""
    pattern: str
    """A regular expression (RE2) that is matched whole: those values, of keys also values to come, so that a key is
    its tenant's from the moment it is there."""


def key_names(tenant: str, count: int) -> tuple[str, ...]:
    """The names of a tenant's API keys in the secret."""
    return (tenant, *(f"{tenant}.{number}" for number in range(2, count + 1)))


def callers(plan: Plan, key_counts: Mapping[str, int]) -> dict[str, Caller]:
    """The callers by tenant; `key_counts`: as in `Inputs`."""
    if plan.issuers:
        return {tenant.name: Caller(tenant.claims, "|".join(map(re.escape, tenant.claims))) for tenant in plan.tenants}
    return {
        tenant.name: Caller(key_names(tenant.name, key_counts.get(tenant.name, 1)), f"{tenant.name}{_ANOTHER_KEY}")
        for tenant in plan.tenants
    }


def called_by(callers: Iterable[Caller]) -> dict[str, str]:
    """The match of requests of these callers."""
    return {"type": "RegularExpression", "name": TENANT_HEADER, "value": "|".join(each.pattern for each in callers)}


def access(inputs: Inputs, callers: Mapping[str, Caller]) -> dict[str, Any]:
    """A SecurityPolicy without its target: who may call, and for which models."""
    plan = inputs.plan
    providers = [_provider(issuer, inputs.issuer_keys) for issuer in plan.issuers]
    authentication = {"jwt": {"providers": providers}} if providers else _BY_API_KEY
    every = plan.model_names
    bound = [tenant for tenant in plan.tenants if tenant.models != every]
    if not plan.issuers and not bound:
        return authentication

    def values(tenants: Iterable[TenantPlan]) -> list[str]:
        return [value for tenant in tenants for value in callers[tenant.name].values]

    free = values(tenant for tenant in plan.tenants if tenant.models == every)
    rules = [
        *(_allow(some) for some in _parts(free)),
        *({**_allow(some), "operation": {"methods": ["GET"]}} for some in _parts(values(bound))),
        *(_allow(values([tenant]), models) for tenant in bound for models in _parts(tenant.models)),
    ]
    return {**authentication, "authorization": {"defaultAction": "Deny", "rules": rules}}


def _provider(issuer: Issuer, keys: Mapping[str, str]) -> dict[str, Any]:
    jwks: dict[str, Any] = (
        {"remoteJWKS": {"uri": issuer.jwks}}
        if issuer.jwks
        else {"localJWKS": {"type": "Inline", "inline": keys[issuer.issuer]}}
    )
    return {
        "name": object_name(issuer.issuer),
        "issuer": issuer.issuer,
        "audiences": list(issuer.audiences),
        **jwks,
        "claimToHeaders": [{"claim": issuer.claim, "header": TENANT_HEADER}],
    }


def _allow(callers: Sequence[str], models: Sequence[str] = ()) -> dict[str, Any]:
    headers = [{"name": TENANT_HEADER, "values": [*callers]}, {"name": MODEL_HEADER, "values": [*models]}]
    return {"action": "Allow", "principal": {"headers": headers if models else headers[:1]}}


def _parts(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), _RULE_VALUES):
        yield values[start : start + _RULE_VALUES]


def limits(plan: Plan, callers: Mapping[str, Caller]) -> dict[str, Any]:
    """A BackendTrafficPolicy without its target: how much each tenant may use in a minute.

    Its rules stand in order of tenant and model, those of a tenant over all models first.
    """
    rules = [
        rule
        for tenant in plan.tenants
        for model, rate in tenant.all_rates
        for rule in _limit_rules(callers[tenant.name], model, rate)
    ]
    return {"rateLimit": {"global": {"rules": rules}}}


def _limit_rules(caller: Caller, model: str | None, rate: Rate) -> Iterator[dict[str, Any]]:
    of_model = [{"type": "Exact", "name": MODEL_HEADER, "value": model}] if model else []
    selected = {"clientSelectors": [{"headers": [called_by([caller]), *of_model]}], "shared": True}
    if rate.requests:
        yield {**selected, "limit": {"requests": rate.requests, "unit": "Minute"}}
    if rate.tokens:
        used = {"from": "Metadata", "metadata": {"namespace": METADATA, "key": _TOTAL_TOKENS}}
        cost = {"request": {"from": "Number", "number": 0}, "response": used}
        yield {**selected, "limit": {"requests": rate.tokens, "unit": "Minute"}, "cost": cost}


@dataclass(frozen=True)
class Group:
    """Tenants who are served by the same hosts of a model."""

    tenants: tuple[str, ...]
    """In order of name; empty: all."""
    model: ModelPlan
    """The model with these hosts alone."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """In order of name."""
        return tuple(sorted(target.host for target in self.model.targets))


def groups(model: ModelPlan, plan: Plan) -> tuple[Group, ...]:
    """All tenants that may ask for the model: first those served by all of its hosts, of whom there may be none, then
    the others in order of their hosts; nobody for whom none of the hosts is left."""
    every = Group((), model)
    by_hosts: dict[tuple[str, ...], Group] = {}
    for tenant in plan.tenants_of(model.name):
        served = served_to(model, tenant)
        hosts = Group((), served).hosts
        alike = by_hosts[hosts].tenants if hosts in by_hosts else ()
        by_hosts[hosts] = Group((*alike, tenant.name), served)
    if by_hosts.keys() <= {every.hosts}:
        return (every,)
    return tuple(
        by_hosts[hosts] for hosts in sorted(by_hosts, key=lambda hosts: (hosts != every.hosts, hosts)) if hosts
    )
