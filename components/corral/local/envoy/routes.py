"""The table of routes: where a request for a model goes, and what is answered to one that is for none.

All models have one route: the module chooses the host of each attempt as Envoy asks for its cluster, and with it how
many attempts there may be.  With the table comes what the module knows of callers, models and hosts (`module`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from corral.local.envoy import module, replies
from corral.local.envoy.names import GATEWAY, READ_STATE, TENANT_HEADER, Files
from corral.local.envoy.resource import Resource, milliseconds, typed
from corral.plan import failover
from corral.plan.plan import Plan

_MODEL_PATHS = r"/v1/(chat/completions|completions|embeddings|responses|messages|rerank)(\?.*)?"
_LIST_PATH = r"/v1/models(\?.*)?"

_MAX_LIST_BYTES = 2**22
"""Room for the answer to `GET /v1/models`; Envoy's own default holds some forty models."""


def _request_header(name: str) -> Resource:
    return {"name": name, "typed_config": typed("type.matcher.v3.HttpRequestHeaderMatchInput", {"header_name": name})}


def _to(route: Resource) -> Resource:
    return {"action": {"name": "route", "typed_config": typed("config.route.v3.Route", route)}}


def _where(name: str, pattern: str, then: Resource) -> Resource:
    """One arm of a matcher list: the header's whole value matches the pattern."""
    value: Resource = {"safe_regex": {"google_re2": {}, "regex": pattern}}
    return {
        "predicate": {"single_predicate": {"input": _request_header(name), "value_match": value}},
        "on_match": then,
    }


def _arms(arms: list[Resource], otherwise: Resource) -> Resource:
    return {"matcher": {"matcher_list": {"matchers": arms}, "on_no_match": otherwise}}


def _filter_state(key: str) -> Resource:
    kind = "extensions.matching.common_inputs.network.v3.FilterStateInput"
    return {"name": key, "typed_config": typed(kind, {"key": key})}


def _by(value: Resource, choices: dict[str, Resource], otherwise: Resource) -> Resource:
    """A map from a value to what happens then."""
    return {"matcher_tree": {"input": value, "exact_match_map": {"map": choices}}, "on_no_match": otherwise}


def _retry_policy(hosts: int, idle_timeout: int) -> Resource:
    """Of a request that so many hosts can answer."""
    return {
        "retry_on": ",".join(failover.RETRY_ON),
        "retriable_status_codes": failover.retried_status(hosts),
        "num_retries": failover.retries(hosts),
        "per_try_idle_timeout": milliseconds(idle_timeout),
        "retry_back_off": {
            "base_interval": milliseconds(failover.BACK_OFF_MILLISECONDS),
            "max_interval": milliseconds(failover.MAX_BACK_OFF_MILLISECONDS),
        },
        "refresh_cluster_on_retry": True,
    }


def _model_route(plan: Plan, files: Files, candidates: Sequence[str]) -> Resource:
    """Where a request goes that names a model; until its body has been read, nowhere."""
    idle_timeout = plan.request_settings.idle_timeout
    most = max((len(model.live) for model in plan.models), default=1)
    policies = {str(hosts): _retry_policy(hosts, idle_timeout) for hosts in range(1, most + 1)}
    return {
        "name": "model",
        "match": {"prefix": "/"},
        "route": {
            "inline_cluster_specifier_plugin": {"extension": module.cluster_specifier(policies, candidates, files)},
            "timeout": "0s",
            "idle_timeout": milliseconds(failover.SILENT_ATTEMPTS * idle_timeout),
            "retry_policy": policies["1"],
        },
    }


def _for_tenants(plan: Plan, answer: Callable[[Sequence[str]], Resource]) -> Resource:
    """What is answered with the names of models: to a tenant with those it may ask for."""
    every = [model.name for model in plan.models]
    some = {tenant.name: tenant.models for tenant in plan.tenants if len(tenant.models) < len(every)}
    if not some:
        return _to(answer(every))
    own = {tenant: _to(answer(names)) for tenant, names in some.items()}
    return {"matcher": _by(_request_header(TENANT_HEADER), own, _to(answer(every)))}


_CORS_SECONDS = 86_400
"""How long a browser may remember what it may send: any header, and that of the key, which `*` does not stand for."""


def _cors(origins: Sequence[str]) -> Resource:
    """The web pages whose scripts may call, for the filter that answers browsers before anybody asks for a key.

    That filter passes over requests that a route answers by itself (envoyproxy/envoy issue 8262, seen on 1.40.0).
    """
    matches = [{"safe_regex": {"regex": ".*"}} if origin == "*" else {"exact": origin} for origin in origins]
    policy = {
        "allow_origin_string_match": matches,
        "allow_methods": "GET, POST",
        "allow_headers": "*, authorization",
        "expose_headers": "*",
        "max_age": str(_CORS_SECONDS),
        "forward_not_matching_preflights": False,
    }
    return {"envoy.filters.http.cors": typed("extensions.filters.http.cors.v3.CorsPolicy", policy)}


def gateway_routes(plan: Plan, plan_file: Path, files: Files, candidates: Sequence[str] = ()) -> Resource:
    """The table clients meet: paths, methods, models; `plan_file` has what the module knows, `candidates` are the
    clusters to which requests are copied."""

    def only(methods: str, then: Resource) -> Resource:
        return _arms([_where(":method", methods, then)], _to(replies.wrong_method(methods.replace("|", ", "))))

    by_path = _arms(
        [
            _where(":path", _MODEL_PATHS, only("POST", _for_tenants(plan, replies.unknown_model))),
            _where(":path", _LIST_PATH, only("GET|HEAD", _for_tenants(plan, replies.model_list))),
        ],
        _to(replies.unknown_path()),
    )
    origins = plan.request_settings.origins
    gateway = {
        "name": GATEWAY,
        **({"typed_per_filter_config": _cors(origins)} if origins else {}),
        "domains": ["*"],
        "request_body_buffer_limit": plan.request_settings.body_limit,
        "matcher": _by(_filter_state(READ_STATE), {"1": by_path}, _to(_model_route(plan, files, candidates))),
    }
    return typed(
        "config.route.v3.RouteConfiguration",
        {
            "name": GATEWAY,
            "max_direct_response_body_size_bytes": _MAX_LIST_BYTES,
            "typed_per_filter_config": module.per_route(plan_file, files),
            "virtual_hosts": [gateway],
        },
    )
