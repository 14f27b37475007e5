"""The route tables: which model a request asks for, and what a host calls it.

Models are looked up in a map, not in a list, so that the thousandth model costs what the first one does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from components.plan.failover import RETRIED_STATUS
from components.plan.plan import ModelPlan, Plan, Target
from components.render.envoy import replies
from components.render.envoy.link import Link
from components.render.envoy.names import (
    ATTEMPTS_HEADER,
    GATEWAY,
    HOST_HEADER,
    MODEL_HEADER,
    RELAY,
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

_CLIENT_CREDENTIALS = ["authorization", "api-key", "x-api-key", "cookie"]
_HOP_HEADERS = [
    MODEL_HEADER,
    HOST_HEADER,
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-envoy-external-address",
    "x-envoy-internal",
    "x-envoy-expected-rq-timeout-ms",
]


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


_TRANSFORM = "envoy.filters.http.transform"

READ_MODEL = {
    _TRANSFORM: {
        "@type": TYPE + "envoy.extensions.filters.http.transform.v3.TransformConfig",
        "request_transformation": {
            "headers_mutations": [
                {
                    "append": {
                        "header": {"key": MODEL_HEADER, "value": "%REQUEST_BODY(model)%"},
                        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                    }
                }
            ]
        },
        "clear_route_cache": True,
    }
}
"""Copies the body's `model` into a header and routes again; a body without one gives `-`."""


def _rewrite_model(model_id: str) -> Resource:
    return {
        _TRANSFORM: {
            "@type": TYPE + "envoy.extensions.filters.http.transform.v3.TransformConfig",
            "request_transformation": {
                "body_transformation": {
                    "body_format": {"json_format": {"model": model_id.replace("%", "%%")}},
                    "action": "MERGE",
                }
            },
        }
    }


def retries(model: ModelPlan) -> int:
    """How many attempts may follow the first: each sharing host once, then each fallback; one more for a lone host."""
    return max(1, len(model.sharing) + len(model.fallbacks) - 1)


def _model_route(model: ModelPlan, idle_timeout: int) -> Resource:
    return {
        "name": model.name,
        "match": {"prefix": "/"},
        "response_headers_to_add": [{"header": {"key": ATTEMPTS_HEADER, "value": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"}}],
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


def gateway_routes(plan: Plan) -> Resource:
    """The table clients meet: paths, methods, models."""
    read_model = {**replies.no_model(), "typed_per_filter_config": READ_MODEL}
    asked = _arms(
        [
            _where(MODEL_HEADER, "-", _to(replies.no_model())),
            _where(MODEL_HEADER, ".+", _to(replies.unknown_model(plan))),
        ],
        _to(read_model),
    )
    by_path = _arms(
        [
            _where(":path", _MODEL_PATHS, _arms([_where(":method", "POST", asked)], _to(replies.wrong_method("POST")))),
            _where(
                ":path",
                _LIST_PATH,
                _arms([_where(":method", "GET", _to(replies.model_list(plan)))], _to(replies.wrong_method("GET"))),
            ),
        ],
        _to(replies.unknown_path()),
    )
    models = ((model.name, _to(_model_route(model, plan.limits.idle_timeout))) for model in plan.models)
    return {
        "@type": TYPE + "envoy.config.route.v3.RouteConfiguration",
        "name": GATEWAY,
        "max_direct_response_body_size_bytes": _MAX_LIST_BYTES,
        "request_headers_to_remove": _CLIENT_CREDENTIALS,
        "virtual_hosts": [{"name": GATEWAY, "domains": ["*"], "matcher": _by_header(MODEL_HEADER, models, by_path)}],
    }


def _relay_route(model: str, target: Target, link: Link) -> Resource:
    return {
        "name": model,
        "match": {"prefix": "/v1/"},
        "metadata": {"filter_metadata": {"corral": {"host": target.host}}},
        "route": {
            "cluster": link.name,
            "prefix_rewrite": f"{link.path}/",
            "host_rewrite_literal": link.authority,
            "timeout": "0s",
            "idle_timeout": "0s",
        },
        "response_headers_to_remove": [HOST_HEADER],
        "response_headers_to_add": [{"header": {"key": HOST_HEADER, "value": target.host}}],
        **({} if target.model_id == model else {"typed_per_filter_config": _rewrite_model(target.model_id)}),
    }


Attempts = dict[str, dict[str, Resource]]
"""Per host and model the route of an attempt."""


def attempts(plan: Plan, links: Mapping[str, Link]) -> Attempts:
    """Every attempt that a plan can lead to."""
    found: Attempts = {host: {} for host in links}
    for model in plan.models:
        for target in model.targets:
            if target.live:
                found[target.host][model.name] = _relay_route(model.name, target, links[target.host])
    return found


def with_former(new: Attempts, former: Attempts) -> Attempts:
    """The new attempts, and those former ones that are no more, for requests that are on their way."""
    return {host: {**former.get(host, {}), **new.get(host, {})} for host in {**former, **new}}


def relay_routes(known: Attempts) -> Resource:
    """The relay's table: whom an attempt is for, and what that host calls the model."""
    gone = replies.error("This host does not serve the model any more. Try again.", "server_error", "no_host_left")
    refusal = _to({"match": {"prefix": "/"}, "direct_response": {"status": 503, "body_format": {"json_format": gone}}})
    hosts = (
        (
            host,
            {"matcher": _by_header(MODEL_HEADER, ((model, _to(route)) for model, route in routes.items()), refusal)},
        )
        for host, routes in known.items()
        if routes
    )
    return {
        "@type": TYPE + "envoy.config.route.v3.RouteConfiguration",
        "name": RELAY,
        "request_headers_to_remove": _HOP_HEADERS,
        "virtual_hosts": [{"name": RELAY, "domains": ["*"], "matcher": _by_header(HOST_HEADER, hosts, refusal)}],
    }
