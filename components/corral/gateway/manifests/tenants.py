"""Who calls, as the gateway says it in `TENANT_HEADER`, and how a rule tells a tenant by that.

An API key gives the name under which it lies in the tenants' secret: `search` for the first key of search, `search.2`
for its second.  No tenant's name has a dot in it.  A token gives the value of its issuer's claim.  A stack that has
issuers has tokens alone, as the gateway asks everybody for a key once it asks anybody (Envoy Gateway 1.8.3).

How much a tenant may use in a minute: one policy, on the Gateway, counted in Redis for all Envoys together.

Each rule is `shared`.  Otherwise Envoy Gateway counts each rule of each route for itself, and a tenant would have its
limit once per model, and again while a model has two routes.  A tenant's requests are counted when they come.  Tokens
are looked at when a request comes and counted when its answer has been given.

The policies of models have to be merged with this one, or it would hold for none of them.

Who may call and what they may ask for: one policy, on the Gateway.

On a route it could be walked around: until its body is read, a request is on the route that its headers name.  What a
tenant may ask for is looked at last, when Envoy AI Gateway has read the model from the body.

Policy.  Where every tenant may ask for every model, whoever has proved to be a tenant may.  Otherwise what no rule
allows is refused with 403: a caller that is no tenant, a model that a tenant does not name, and of a tenant that names
models also one that is not there.  The list of models (`GET /v1/models`) is the same for all.

Who is served by which hosts of a model, where the residency of tenants leaves some of them out.

Policy.  Tenants for whom the same hosts are left go together.  Each such group has a rule of its own in the model's
route, before which nobody comes who is not in it: a caller of whom no rule knows is served by none.  Where the
residency of no tenant leaves out any host, one rule serves all.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from corral.gateway.manifests.resource import target
from corral.gateway.names import METADATA, MODEL_HEADER, TENANT_HEADER, TENANT_SECRET, object_name
from corral.plan.plan import Issuer, ModelPlan, Plan, Rate, TenantPlan
from corral.plan.tenants import served_to

_ANOTHER_KEY = "([.][0-9]+)?"


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


def callers(plan: Plan, keys: Mapping[str, int]) -> dict[str, Caller]:
    """By tenant; `keys`: how many API keys those tenants have that were given any, all others having one."""
    if plan.issuers:
        return {tenant.name: Caller(tenant.claims, either(map(re.escape, tenant.claims))) for tenant in plan.tenants}
    return {
        tenant.name: Caller(key_names(tenant.name, keys.get(tenant.name, 1)), f"{tenant.name}{_ANOTHER_KEY}")
        for tenant in plan.tenants
    }


def called_by(found: Iterable[Caller]) -> dict[str, str]:
    """How a rule tells requests of these callers."""
    return {"type": "RegularExpression", "name": TENANT_HEADER, "value": either(caller.pattern for caller in found)}


def either(patterns: Iterable[str]) -> str:
    """The regular expression that matches what any of these does."""
    return "|".join(patterns)


TOTAL_TOKENS = "total_tokens"

TOKEN_COSTS = [{"metadataKey": TOTAL_TOKENS, "type": "TotalToken"}]
"""What Envoy AI Gateway is to count for limits of tokens."""


def rules(plan: Plan, callers: Mapping[str, Caller]) -> list[dict[str, Any]]:
    """In order of tenant and model, those of a tenant over all models first."""
    return [
        rule
        for tenant in plan.tenants
        for model, rate in tenant.all_rates
        for rule in _limit_rules(callers[tenant.name], model, rate)
    ]


def _limit_rules(caller: Caller, model: str | None, rate: Rate) -> Iterator[dict[str, Any]]:
    of_model = [{"type": "Exact", "name": MODEL_HEADER, "value": model}] if model else []
    selected = {"clientSelectors": [{"headers": [called_by([caller]), *of_model]}], "shared": True}
    if rate.requests:
        yield {**selected, "limit": _a_minute(rate.requests)}
    if rate.tokens:
        used = {"from": "Metadata", "metadata": {"namespace": METADATA, "key": TOTAL_TOKENS}}
        cost = {"request": {"from": "Number", "number": 0}, "response": used}
        yield {**selected, "limit": _a_minute(rate.tokens), "cost": cost}


def _a_minute(most: int) -> dict[str, Any]:
    return {"requests": most, "unit": "Minute"}


_MOST = 256
"""Values of a header in one rule."""


def access(plan: Plan, callers: Mapping[str, Caller], issuer_keys: Mapping[str, str]) -> dict[str, Any]:
    """The policy, but for what it is of.  `issuer_keys`: by issuer its public keys (JWKS), where they are no URL's."""
    known = {"jwt": {"providers": [_provider(one, issuer_keys) for one in plan.issuers]}} if plan.issuers else _keys()
    models = plan.model_names
    if not plan.issuers and all(tenant.models == models for tenant in plan.tenants):
        return known
    return {**known, "authorization": {"defaultAction": "Deny", "rules": list(_rules(plan, callers, models))}}


def _keys() -> dict[str, Any]:
    """A key names its tenant; the key itself goes no further."""
    return {
        "apiKeyAuth": {
            "credentialRefs": [target("", "Secret", TENANT_SECRET)],
            "extractFrom": [{"headers": ["Authorization"]}],
            "forwardClientIDHeader": TENANT_HEADER,
            "sanitize": True,
        }
    }


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


def _rules(plan: Plan, callers: Mapping[str, Caller], models: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    free = [tenant.name for tenant in plan.tenants if tenant.models == models]
    bound = [tenant for tenant in plan.tenants if tenant.models != models]
    for tenants in _parts([value for name in free for value in callers[name].values]):
        yield _allowed(_said(TENANT_HEADER, tenants))
    for tenants in _parts([value for tenant in bound for value in callers[tenant.name].values]):
        yield {**_allowed(_said(TENANT_HEADER, tenants)), "operation": {"methods": ["GET"]}}
    for tenant in bound:
        for named in _parts(tenant.models):
            yield _allowed(_said(TENANT_HEADER, callers[tenant.name].values), _said(MODEL_HEADER, named))


def _allowed(*headers: dict[str, Any]) -> dict[str, Any]:
    return {"action": "Allow", "principal": {"headers": list(headers)}}


def _said(header: str, values: Sequence[str]) -> dict[str, Any]:
    return {"name": header, "values": list(values)}


def _parts(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), _MOST):
        yield values[start : start + _MOST]


@dataclass(frozen=True)
class Group:
    """Tenants who are served by the same hosts, and the model as they meet it."""

    tenants: tuple[str, ...]
    """In order of name; empty: all."""
    model: ModelPlan

    @property
    def hosts(self) -> tuple[str, ...]:
        """In order of name."""
        return tuple(sorted(target.host for target in self.model.targets))


def groups(model: ModelPlan, tenants: tuple[TenantPlan, ...]) -> tuple[Group, ...]:
    """Whoever may ask for the model: first those served by all of its hosts, of whom there may be none, then the others
    in order of their hosts."""
    by_hosts: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    served: dict[tuple[str, ...], ModelPlan] = {}
    every = Group((), model)
    for tenant in tenants:
        if model.name in tenant.models:
            met = Group((tenant.name,), served_to(model, tenant))
            by_hosts[met.hosts].append(tenant.name)
            served[met.hosts] = met.model
    if set(by_hosts) <= {every.hosts}:
        return (every,)
    order = sorted(by_hosts, key=lambda hosts: (hosts != every.hosts, hosts))
    return tuple(Group(tuple(by_hosts[hosts]), served[hosts]) for hosts in order)
