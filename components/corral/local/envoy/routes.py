"""The table of routes: where a request for a model goes, and what is answered to one that is for none.

Models are looked up in a map, not in a list, so that the thousandth model costs what the first one does.

With the table comes what the gateway's filter knows of those who may call, and of what they may ask for (`module`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from corral.local.envoy import module, replies
from corral.local.envoy.names import (
    ATTEMPTS_HEADER,
    GATEWAY,
    HOST_HEADER,
    HOST_MODEL_HEADER,
    HOST_REQUEST_ID_HEADER,
    MODEL_HEADER,
    NAMESPACE,
    READ_HEADER,
    TENANT_HEADER,
    Files,
    model_name,
)
from corral.local.envoy.resource import Resource, extension, header, milliseconds, typed
from corral.local.envoy.variants import ModelVariant, variants
from corral.plan import failover
from corral.plan.plan import Plan
from corral.plan.trace import TRACE_HEADERS, trace

_MODEL_PATHS = r"/v1/(chat/completions|completions|embeddings|responses|messages|rerank)(\?.*)?"
_LIST_PATH = r"/v1/models(\?.*)?"

_MAX_LIST_BYTES = 2**22
"""Room for the answer to `GET /v1/models`; Envoy's own default holds some forty models."""

_UNREAD: Resource = {"name": "no model", "match": {"prefix": "/"}, "route": {"cluster": "none"}}
"""The route of a request whose body has not been read.  It leads nowhere: the first filter answers what has no model.
It stands for the room a body gets, which an answer in its place would not give."""

_REMOVED = [
    *(failover.TOKEN_HEADER, *failover.CLIENT_CREDENTIALS),
    *(MODEL_HEADER, *failover.ADDED_BY_ENVOY, *failover.ADDED_BY_ENVOY_ALONE, *failover.CALLER_HEADERS),
    failover.UNCOUNTABLE,
]
"""The headers of a request that no host is to see."""


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


def _by_header(name: str, choices: Iterable[tuple[str, Resource]], otherwise: Resource) -> Resource:
    """A map from the header's value to what happens then."""
    return {
        "matcher_tree": {"input": _request_header(name), "exact_match_map": {"map": dict(choices)}},
        "on_no_match": otherwise,
    }


_PREVIOUS_HOSTS = extension("retry.host.previous_hosts.v3.PreviousHostsPredicate")


def _model_route(variant: ModelVariant, idle_timeout: int, traced: Mapping[str, str], *, shown: bool) -> Resource:
    """What is `traced` is for the log, and where it is shown for the client."""
    model = variant.model
    if not model.sharing and not model.fallbacks:
        return replies.no_host_allowed(variant.name)
    retry_policy = {
        "retry_on": ",".join((*failover.RETRY_ON, "retriable-headers")),
        "retriable_status_codes": failover.retried_status(len(model.sharing) + len(model.fallbacks)),
        "retriable_headers": [{"name": failover.UNSUPPORTED_HEADER, "present_match": True}],
        "num_retries": failover.retries(model),
        "per_try_idle_timeout": milliseconds(idle_timeout),
        "retry_back_off": {
            "base_interval": milliseconds(failover.BACK_OFF_MILLISECONDS),
            "max_interval": milliseconds(failover.MAX_BACK_OFF_MILLISECONDS),
        },
        "host_selection_retry_max_attempts": failover.SELECTION_ATTEMPTS,
        "retry_host_predicate": [_PREVIOUS_HOSTS],
    }
    return {
        "name": variant.name,
        "match": {"prefix": "/"},
        "metadata": {"filter_metadata": {NAMESPACE: traced}},
        "request_headers_to_remove": _REMOVED,
        "response_headers_to_add": [
            header(ATTEMPTS_HEADER, "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"),
            header(HOST_HEADER, f"%UPSTREAM_METADATA({NAMESPACE}:host)%"),
            header(HOST_MODEL_HEADER, f"%UPSTREAM_METADATA({NAMESPACE}:id)%"),
            header(HOST_REQUEST_ID_HEADER, f"%RESPONSE_HEADER({failover.REQUEST_ID_HEADER})%"),
            *(header(TRACE_HEADERS[name], value) for name, value in traced.items() if shown),
        ],
        "response_headers_to_remove": [failover.UNSUPPORTED_HEADER, *failover.HOST_HEADERS],
        "route": {
            "cluster": model_name(model.name),
            "timeout": "0s",
            "idle_timeout": milliseconds(failover.SILENT_ATTEMPTS * idle_timeout),
            "retry_policy": retry_policy,
        },
    }


def _for_tenants(plan: Plan, answer: Callable[[Sequence[str]], Resource]) -> Resource:
    """What is answered with the names of models: to a tenant with those it may ask for."""
    every = [model.name for model in plan.models]
    some = {tenant.name: tenant.models for tenant in plan.tenants if len(tenant.models) < len(every)}
    if not some:
        return _to(answer(every))
    own = ((tenant, _to(answer(names))) for tenant, names in some.items())
    return {"matcher": _by_header(TENANT_HEADER, own, _to(answer(every)))}


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


def gateway_routes(plan: Plan, keys: Mapping[str, str], files: Files) -> Resource:
    """The table clients meet: paths, methods, models; `keys` are the tenants by the SHA-256 of their keys."""

    def only(methods: str, then: Resource) -> Resource:
        return _arms([_where(":method", methods, then)], _to(replies.wrong_method(methods.replace("|", ", "))))

    unread = _arms([_where(MODEL_HEADER, ".+", _for_tenants(plan, replies.unknown_model))], _to(_UNREAD))
    by_path = _arms(
        [
            _where(":path", _MODEL_PATHS, only("POST", unread)),
            _where(":path", _LIST_PATH, only("GET|HEAD", _for_tenants(plan, replies.model_list))),
        ],
        _to(replies.unknown_path()),
    )
    read = _arms([_where(READ_HEADER, ".+", by_path)], _to(_UNREAD))
    models = (
        (variant.key, _to(_model_route(variant, plan.request_settings.idle_timeout, traced, shown=plan.trace_headers)))
        for model in plan.models
        for traced in [trace(model, plan)]
        for variant in variants(plan, model)
    )
    origins = plan.request_settings.origins
    gateway = {
        "name": GATEWAY,
        **({"typed_per_filter_config": _cors(origins)} if origins else {}),
        "domains": ["*"],
        "request_body_buffer_limit": plan.request_settings.body_limit,
        "matcher": _by_header(MODEL_HEADER, models, read if origins else by_path),
    }
    return typed(
        "config.route.v3.RouteConfiguration",
        {
            "name": GATEWAY,
            "max_direct_response_body_size_bytes": _MAX_LIST_BYTES,
            "typed_per_filter_config": module.per_route(module.plan_text(plan, keys), files),
            "virtual_hosts": [gateway],
        },
    )
