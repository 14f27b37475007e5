"""Lanes: a model as tenants of one residency meet it.

Tenants without a residency of their own have none; those with the same residency share one.  Where it allows every host
of a model, the lane leads to the model's own clusters.

What the gateway's first filter is told of those who may call, and of what they may ask for.

It is one flat table, since the filter reads an entry at a time and keeps it:

    version                    changes with the table, so that nothing is kept that no longer holds
    open                       where there are no tenants, and nobody is asked: the limits of all; else false
    key:<SHA-256>              the tenant of a key
    claim:<issuer>             the claim of its tokens that names the tenant
    vouched:<issuer> <value>   the tenant of a claim's value
    model:<name>               there is such a model
    tenant:<name>              the tenant's models, lane and limits

The table of routes: where a request for a model goes, and what is answered to one that is for none.

Models are looked up in a map, not in a list, so that the thousandth model costs what the first one does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from corral.local.envoy import replies, scripts
from corral.local.envoy.names import (
    ATTEMPTS_HEADER,
    GATEWAY,
    HOST_HEADER,
    MODEL_HEADER,
    NAMESPACE,
    TENANT_HEADER,
    TYPE,
    Resource,
    milliseconds,
    model_name,
)
from corral.plan.failover import (
    ADDED_BY_ENVOY,
    ADDED_BY_ENVOY_ALONE,
    BACK_OFF_MILLISECONDS,
    CALLER_HEADERS,
    CLIENT_CREDENTIALS,
    MAX_BACK_OFF_MILLISECONDS,
    RETRIED_STATUS,
    RETRY_ON,
    TOKEN_HEADER,
    UNCOUNTABLE,
    retries,
)
from corral.plan.plan import Limits, ModelPlan, Plan, Rate, TenantPlan
from corral.plan.tenants import served_to


@dataclass(frozen=True)
class Lane:
    """One model for some tenants."""

    key: str
    """What the model's header says."""
    model: ModelPlan
    """With the hosts that the lane allows; its name has the lane in it where they are not all of the model's."""
    name: str
    """The model's own name."""


def lane_of(tenant: TenantPlan) -> str | None:
    """The lane that a tenant is in; None: it meets the models as they are."""
    return "+".join(tenant.residency) if tenant.residency else None


def lanes(plan: Plan, model: ModelPlan) -> Iterator[Lane]:
    """The model as it is, and as the tenants that may ask for it meet it."""
    yield Lane(model.name, model, model.name)
    strict = {lane: tenant for tenant in plan.tenants_of(model.name) if (lane := lane_of(tenant))}
    for lane, tenant in sorted(strict.items()):
        key, met = f"{model.name} {lane}", served_to(model, tenant)
        yield Lane(key, model if met.live == model.live else replace(met, name=key), model.name)


def own_models(plan: Plan) -> Iterator[ModelPlan]:
    """Every model that needs clusters: as it is, and for lanes that allow fewer hosts but not none."""
    for model in plan.models:
        met = {lane.model.name: lane.model for lane in lanes(plan, model)}
        yield from (each for each in met.values() if each.live)


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


_MODEL_PATHS = r"/v1/(chat/completions|completions|embeddings|responses)(\?.*)?"
_LIST_PATH = r"/v1/models(\?.*)?"

_SELECTION_ATTEMPTS = 100
"""How often a retry draws again when the weights hand it a host that was tried already."""

_MAX_LIST_BYTES = 2**22
"""Room for the answer to `GET /v1/models`; Envoy's own default holds some forty models."""

_UNREAD: Resource = {"name": "no model", "match": {"prefix": "/"}, "route": {"cluster": "none"}}
"""The route of a request whose body has not been read.  It leads nowhere: the first filter answers what has no model.
It stands for the room a body gets, which an answer in its place would not give."""

_REMOVED = [
    *(TOKEN_HEADER, *CLIENT_CREDENTIALS),
    *(MODEL_HEADER, *ADDED_BY_ENVOY, *ADDED_BY_ENVOY_ALONE, *CALLER_HEADERS),
    UNCOUNTABLE,
]
"""The headers of a request that no host is to see."""


def _request_header(name: str) -> Resource:
    return {
        "name": name,
        "typed_config": {"@type": TYPE + "envoy.type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": name},
    }


def _to(route: Resource) -> Resource:
    return {"action": {"name": "route", "typed_config": {"@type": TYPE + "envoy.config.route.v3.Route", **route}}}


def _where(header: str, pattern: str, then: Resource) -> Resource:
    """One arm of a matcher list: the header's whole value matches the pattern."""
    return {
        "predicate": {
            "single_predicate": {
                "input": _request_header(header),
                "value_match": {"safe_regex": {"google_re2": {}, "regex": pattern}},
            }
        },
        "on_match": then,
    }


def _arms(arms: list[Resource], otherwise: Resource) -> Resource:
    return {"matcher": {"matcher_list": {"matchers": arms}, "on_no_match": otherwise}}


def _by_header(name: str, choices: Iterable[tuple[str, Resource]], otherwise: Resource) -> Resource:
    """A map from the header's value to what happens then."""
    return {
        "matcher_tree": {"input": _request_header(name), "exact_match_map": {"map": dict(choices)}},
        "on_no_match": otherwise,
    }


def _model_route(lane: Lane, idle_timeout: int) -> Resource:
    model = lane.model
    if not model.sharing and not model.fallbacks:
        return replies.no_host_allowed(lane.name)
    return {
        "name": lane.name,
        "match": {"prefix": "/"},
        "request_headers_to_remove": _REMOVED,
        "response_headers_to_add": [
            _overwritten(ATTEMPTS_HEADER, "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"),
            _overwritten(HOST_HEADER, f"%UPSTREAM_METADATA({NAMESPACE}:host)%"),
        ],
        "route": {
            "cluster": model_name(model.name),
            "timeout": "0s",
            "idle_timeout": "0s",
            "retry_policy": {
                "retry_on": ",".join(RETRY_ON),
                "retriable_status_codes": list(RETRIED_STATUS),
                "num_retries": retries(model),
                "per_try_idle_timeout": milliseconds(idle_timeout),
                "retry_back_off": {
                    "base_interval": milliseconds(BACK_OFF_MILLISECONDS),
                    "max_interval": milliseconds(MAX_BACK_OFF_MILLISECONDS),
                },
                "host_selection_retry_max_attempts": _SELECTION_ATTEMPTS,
                "retry_host_predicate": [
                    {
                        "name": "envoy.retry_host_predicates.previous_hosts",
                        "typed_config": {
                            "@type": TYPE + "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                        },
                    }
                ],
            },
        },
    }


def _overwritten(header: str, value: str) -> Resource:
    return {"header": {"key": header, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _for_tenants(plan: Plan, answer: Callable[[Sequence[str]], Resource]) -> Resource:
    """What is answered with the names of models: to a tenant with those it may ask for."""
    every = plan.model_names
    some = {tenant.name: tenant.models for tenant in plan.tenants if len(tenant.models) < len(every)}
    if not some:
        return _to(answer(every))
    return {
        "matcher": _by_header(
            TENANT_HEADER, ((tenant, _to(answer(names))) for tenant, names in some.items()), _to(answer(every))
        )
    }


def gateway_routes(plan: Plan, keys: Mapping[str, str]) -> Resource:
    """The table clients meet: paths, methods, models."""
    asked = _arms([_where(MODEL_HEADER, ".+", _for_tenants(plan, replies.unknown_model))], _to(_UNREAD))
    by_path = _arms(
        [
            _where(":path", _MODEL_PATHS, _arms([_where(":method", "POST", asked)], _to(replies.wrong_method("POST")))),
            _where(
                ":path",
                _LIST_PATH,
                _arms(
                    [_where(":method", "GET", _for_tenants(plan, replies.model_list))],
                    _to(replies.wrong_method("GET")),
                ),
            ),
        ],
        _to(replies.unknown_path()),
    )
    models = (
        (lane.key, _to(_model_route(lane, plan.limits.idle_timeout)))
        for model in plan.models
        for lane in lanes(plan, model)
    )
    return {
        "@type": TYPE + "envoy.config.route.v3.RouteConfiguration",
        "name": GATEWAY,
        "max_direct_response_body_size_bytes": _MAX_LIST_BYTES,
        "typed_per_filter_config": scripts.context(context(plan, keys)),
        "virtual_hosts": [
            {
                "name": GATEWAY,
                "domains": ["*"],
                "request_body_buffer_limit": plan.limits.body_limit,
                "matcher": _by_header(MODEL_HEADER, models, by_path),
            }
        ],
    }
