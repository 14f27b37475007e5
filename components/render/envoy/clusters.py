"""The clusters: one for each host, and for each model a chain through which an attempt picks a host.

Policy of a model.  Its chain has one link for each attempt: as many for the sharing hosts as there are of them, then
one for each fallback in order.  An attempt picks, by weight, a sharing host that was not tried before; where a link has
no host that is well, the next one is taken at once.  A host that fails five times in a row is left out for `ejection`
at first and longer each time after; every host may be left out, but the last link then tries its hosts all the same,
rather than nobody.
"""

from __future__ import annotations

from components.plan.plan import Limits, ModelPlan, Target
from components.render.envoy.link import Link
from components.render.envoy.names import (
    HOST_HEADER,
    RELAY,
    TYPE,
    Files,
    Resource,
    link_name,
    milliseconds,
    model_name,
    watched,
)

_UNBOUNDED = 1_000_000
"""Envoy's default limits (1,024 requests, 3 retries) are for short answers; streams stay open for minutes."""

_ANY_LEFT = 1
"""Per cent of hosts that are well, below which all are tried: it is met only when none is."""

_BODY_HEADROOM = 2**20
"""A rewritten body may be longer than the one that came: the host's id of the model is longer than ours."""


def _limits() -> Resource:
    bounds = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), _UNBOUNDED)
    return {"thresholds": [bounds]}


def body_room(limits: Limits) -> int:
    """Bytes of a request that Envoy holds in memory, so that it can be sent again."""
    return limits.body_limit + _BODY_HEADROOM


def _tls(link: Link) -> Resource:
    san = "IP_ADDRESS" if link.is_address else "DNS"
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": TYPE + "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            **({} if link.is_address else {"sni": link.hostname}),
            "common_tls_context": {
                "validation_context": {
                    "trusted_ca": {"filename": link.ca},
                    "match_typed_subject_alt_names": [{"san_type": san, "matcher": {"exact": link.hostname}}],
                },
            },
        },
    }


def _upstream(protocol: Resource, filters: list[Resource]) -> Resource:
    """HTTP settings of a cluster; the filters run once for each attempt."""
    codec = {
        "name": "envoy.filters.http.upstream_codec",
        "typed_config": {"@type": TYPE + "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"},
    }
    return {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": TYPE + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "common_http_protocol_options": {"idle_timeout": "30s"},
            **protocol,
            "http_filters": [*filters, codec],
        }
    }


_HTTP_1: Resource = {"explicit_http_config": {"http_protocol_options": {}}}
_NEGOTIATED: Resource = {"auto_config": {"http_protocol_options": {}, "http2_protocol_options": {}}}
"""HTTP/2 where TLS negotiates it, else HTTP/1.1."""


def _credential(link: Link, files: Files) -> Resource:
    return {
        "name": "envoy.filters.http.credential_injector",
        "typed_config": {
            "@type": TYPE + "envoy.extensions.filters.http.credential_injector.v3.CredentialInjector",
            "overwrite": True,
            "credential": {
                "name": "envoy.http.injected_credentials.generic",
                "typed_config": {
                    "@type": TYPE + "envoy.extensions.http.injected_credentials.generic.v3.Generic",
                    "header": link.header,
                    "credential": {"name": link.name, "sds_config": watched(files.secret(link.name))},
                },
            },
        },
    }


def host_cluster(link: Link, limits: Limits, files: Files) -> Resource:
    """The connections to one host, and its credential."""
    address = {"socket_address": {"address": link.hostname, "port_value": link.port}}
    return {
        "@type": TYPE + "envoy.config.cluster.v3.Cluster",
        "name": link.name,
        "type": "STATIC" if link.is_address else "LOGICAL_DNS",
        **({} if link.is_address else {"dns_lookup_family": "V4_PREFERRED", "respect_dns_ttl": True}),
        "connect_timeout": milliseconds(limits.connect_timeout),
        "per_connection_buffer_limit_bytes": body_room(limits),
        "circuit_breakers": _limits(),
        "typed_extension_protocol_options": _upstream(
            _NEGOTIATED if link.tls else _HTTP_1, [_credential(link, files)] if link.header else []
        ),
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_probes": 3, "keepalive_time": 30, "keepalive_interval": 10}
        },
        "load_assignment": {
            "cluster_name": link.name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        **({"transport_socket": _tls(link)} if link.tls else {}),
    }


_TELL_THE_RELAY: Resource = {
    "name": "envoy.filters.http.header_mutation",
    "typed_config": {
        "@type": TYPE + "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
        "mutations": {
            "request_mutations": [
                {
                    "append": {
                        "header": {"key": HOST_HEADER, "value": "%UPSTREAM_METADATA(corral:host)%"},
                        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                    }
                }
            ]
        },
    },
}


def _member(target: Target) -> Resource:
    relay = {"envoy_internal_address": {"server_listener_name": RELAY, "endpoint_id": target.host}}
    return {
        "locality": {"zone": target.host},
        "load_balancing_weight": target.weight,
        "lb_endpoints": [
            {
                "endpoint": {"address": relay, "hostname": target.host},
                "metadata": {"filter_metadata": {"corral": {"host": target.host}}},
            }
        ],
    }


def links_of(model: ModelPlan) -> list[tuple[str, tuple[Target, ...]]]:
    """The links of a model's chain, each a cluster's name and its hosts: the sharing ones, then each fallback."""
    return [
        (link_name(model.name, 0), model.sharing),
        *((link_name(model.name, target.priority), (target,)) for target in model.fallbacks),
    ]


def _link_cluster(name: str, targets: tuple[Target, ...], limits: Limits, *, last: bool) -> Resource:
    return {
        "@type": TYPE + "envoy.config.cluster.v3.Cluster",
        "name": name,
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": [_member(target) for target in targets]},
        "typed_extension_protocol_options": _upstream(_HTTP_1, [_TELL_THE_RELAY]),
        "connect_timeout": milliseconds(limits.connect_timeout),
        "per_connection_buffer_limit_bytes": body_room(limits),
        "lb_policy": "ROUND_ROBIN",
        "common_lb_config": {
            "locality_weighted_lb_config": {},
            "healthy_panic_threshold": {"value": _ANY_LEFT if last else 0},
        },
        "circuit_breakers": _limits(),
        "outlier_detection": {
            "consecutive_5xx": 5,
            "enforcing_consecutive_gateway_failure": 0,
            "enforcing_success_rate": 0,
            "interval": "1s",
            "base_ejection_time": milliseconds(limits.ejection),
            "max_ejection_time": milliseconds(max(300_000, limits.ejection)),
            "max_ejection_percent": 100,
        },
        "transport_socket": {
            "name": "envoy.transport_sockets.internal_upstream",
            "typed_config": {
                "@type": TYPE + "envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
                "transport_socket": {
                    "name": "envoy.transport_sockets.raw_buffer",
                    "typed_config": {"@type": TYPE + "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"},
                },
            },
        },
    }


def model_clusters(model: ModelPlan, limits: Limits) -> list[Resource]:
    """The links of a model's chain, and the chain itself.  A move of its shares replaces the first link alone."""
    links = links_of(model)
    chain = [name for name, targets in links for _ in targets]
    return [
        *(
            _link_cluster(name, targets, limits, last=number == len(links) - 1)
            for number, (name, targets) in enumerate(links)
        ),
        {
            "@type": TYPE + "envoy.config.cluster.v3.Cluster",
            "name": model_name(model.name),
            "connect_timeout": milliseconds(limits.connect_timeout),
            "per_connection_buffer_limit_bytes": body_room(limits),
            "lb_policy": "CLUSTER_PROVIDED",
            "circuit_breakers": _limits(),
            "typed_extension_protocol_options": _upstream(_HTTP_1, [_TELL_THE_RELAY]),
            "cluster_type": {
                "name": "envoy.clusters.composite",
                "typed_config": {
                    "@type": TYPE + "envoy.extensions.clusters.composite.v3.ClusterConfig",
                    "clusters": [{"name": name} for name in chain],
                },
            },
        },
    ]
