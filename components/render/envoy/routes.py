"""The table of routes: where a request for a model goes, and what is answered to one that is for none.

Models are looked up in a map, not in a list, so that the thousandth model costs what the first one does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from components.plan.failover import RETRIED_STATUS
from components.plan.plan import ModelPlan, Plan
from components.render.envoy import admission, replies, scripts
from components.render.envoy.lanes import Lane, lanes
from components.render.envoy.names import (
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

_MODEL_PATHS = r"/v1/(chat/completions|completions|embeddings|responses)(\?.*)?"
_LIST_PATH = r"/v1/models(\?.*)?"

_SELECTION_ATTEMPTS = 100
"""How often a retry draws again when the weights hand it a host that was tried already."""

_MAX_LIST_BYTES = 2**22
"""Room for the answer to `GET /v1/models`; Envoy's own default holds some forty models."""

_UNREAD: Resource = {"name": "no model", "match": {"prefix": "/"}, "route": {"cluster": "none"}}
"""The route of a request whose body has not been read.  It leads nowhere: the first filter answers what has no model.
It stands for the room a body gets, which an answer in its place would not give."""

_OURS_ALONE = [
    *("authorization", "proxy-authorization", "api-key", "x-api-key", "cookie"),
    MODEL_HEADER,
    *("x-forwarded-for", "x-forwarded-proto", "x-envoy-external-address", "x-envoy-internal"),
    *("forwarded", "x-real-ip", "via"),
    "accept-encoding",
]
"""What of a request no host is to see: keys of the client, where it is, what Envoy and we have added, and that the
client takes compressed answers, of which no tokens could be counted."""


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


def retries(model: ModelPlan) -> int:
    """How many attempts may follow the first: each sharing host once, then each fallback; one more for a lone host."""
    return max(1, len(model.sharing) + len(model.fallbacks) - 1)


def _model_route(lane: Lane, idle_timeout: int) -> Resource:
    model = lane.model
    if not model.sharing and not model.fallbacks:
        return replies.no_host_allowed(lane.name)
    return {
        "name": lane.name,
        "match": {"prefix": "/"},
        "request_headers_to_remove": _OURS_ALONE,
        "response_headers_to_add": [
            _overwritten(ATTEMPTS_HEADER, "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"),
            _overwritten(HOST_HEADER, f"%UPSTREAM_METADATA({NAMESPACE}:host)%"),
        ],
        "route": {
            "cluster": model_name(model.name),
            "timeout": "0s",
            "idle_timeout": "0s",
            "retry_policy": {
                "retry_on": "connect-failure,refused-stream,reset,5xx,retriable-status-codes",
                "retriable_status_codes": list(RETRIED_STATUS),
                "num_retries": retries(model),
                "per_try_idle_timeout": milliseconds(idle_timeout),
                "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.050s"},
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
    every = [model.name for model in plan.models]
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
        "typed_per_filter_config": scripts.context(admission.context(plan, keys)),
        "virtual_hosts": [
            {
                "name": GATEWAY,
                "domains": ["*"],
                "request_body_buffer_limit": plan.limits.body_limit,
                "matcher": _by_header(MODEL_HEADER, models, by_path),
            }
        ],
    }
