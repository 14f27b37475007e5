"""Who may call and what they may ask for: one policy, on the Gateway.

On a route it could be walked around: until its body is read, a request is on the route that its headers name.  What a
tenant may ask for is looked at last, when Envoy AI Gateway has read the model from the body.

Policy.  Where every tenant may ask for every model, whoever has proved to be a tenant may.  Otherwise what no rule
allows is refused with 403: a caller that is no tenant, a model that a tenant does not name, and of a tenant that names
models also one that is not there.  The list of models (`GET /v1/models`) is the same for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.plan.plan import Issuer, Plan
from components.render.gateway_api.callers import Caller
from components.render.gateway_api.names import MODEL_HEADER, TENANT_HEADER, TENANT_SECRET, object_name
from components.render.gateway_api.resource import target

_MOST = 256
"""Values of a header in one rule."""


def access(plan: Plan, callers: Mapping[str, Caller], issuer_keys: Mapping[str, str]) -> dict[str, Any]:
    """The policy, but for what it is of.  `issuer_keys`: by issuer its public keys (JWKS), where they are no URL's."""
    known = {"jwt": {"providers": [_provider(one, issuer_keys) for one in plan.issuers]}} if plan.issuers else _keys()
    models = tuple(model.name for model in plan.models)
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
