"""The clusters: one for each host, and for each model a chain through which an attempt picks a host.

Policy of a model.  Its chain has one link for each attempt: as many for the sharing hosts as there are of them, then
one for each fallback in order.  An attempt picks, by weight, a sharing host that was not tried before; where a link has
no host that is well, the next one is taken at once.  A host that fails five times in a row is left out for
`ejectionTime` at first and longer each time after; every host may be left out, but the last link then tries its hosts
all the same, rather than nobody.

A host that needs TLS or DNS is not itself a member of a link: an internal listener is, which passes bytes on to the
host's own cluster.  So TLS and name resolution are set up once, however many models a host serves, and yet each model
judges its hosts by what they answer for this model.

The clusters of models as they stand in Envoy's file.

At a move nearly all models stay as they are, and what has stayed is not rendered again.  The text of a model depends on
nothing but its plan, the links and the limits, and all three are compared whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from corral.local.envoy import upstream_filters as attempts
from corral.local.envoy.names import NAMESPACE, TYPE, Files, Resource, link_name, milliseconds, model_name, text_of
from corral.local.envoy.upstream import Link
from corral.plan.failover import (
    CONSECUTIVE_FAILURES,
    EJECTION_INTERVAL_MILLISECONDS,
    HOST_KEEP_ALIVE,
    MAX_EJECTION_PERCENT,
    PANIC_PERCENT,
    UNBOUNDED,
)
from corral.plan.plan import Limits, ModelPlan, Target

READ_AHEAD = 2**20
"""Bytes of an answer that wait for its client; while more do, the host is not read from.  It is also the most the
scripts are given at a time."""


def _limits() -> Resource:
    bounds = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), UNBOUNDED)
    return {"thresholds": [bounds]}


def _tls(link: Link) -> Resource:
    san = "IP_ADDRESS" if link.is_address else "DNS"
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": TYPE + "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            **({} if link.is_address else {"sni": link.hostname}),
            "common_tls_context": {
                "alpn_protocols": ["http/1.1"],
                "validation_context": {
                    "trusted_ca": {"filename": link.ca},
                    "match_typed_subject_alt_names": [{"san_type": san, "matcher": {"exact": link.hostname}}],
                },
            },
        },
    }


def _address(link: Link) -> Resource:
    return {"socket_address": {"address": link.hostname, "port_value": link.port}}


_BY_NAME: Resource = {
    "name": "envoy.cluster.dns",
    "typed_config": {
        "@type": TYPE + "envoy.extensions.clusters.dns.v3.DnsCluster",
        "dns_lookup_family": "V4_PREFERRED",
        "respect_dns_ttl": True,
        "all_addresses_in_single_endpoint": True,
    },
}


def host_cluster(link: Link, limits: Limits, files: Files) -> Resource:
    """The connections to one host, and its key."""
    return {
        "@type": TYPE + "envoy.config.cluster.v3.Cluster",
        "name": link.name,
        **({"type": "STATIC"} if link.is_address else {"cluster_type": _BY_NAME}),
        "connect_timeout": milliseconds(limits.connect_timeout),
        "circuit_breakers": _limits(),
        "typed_extension_protocol_options": attempts.http_options(link, files),
        "upstream_connection_options": {
            "tcp_keepalive": {
                "keepalive_probes": HOST_KEEP_ALIVE.probes,
                "keepalive_time": HOST_KEEP_ALIVE.idle_seconds,
                "keepalive_interval": HOST_KEEP_ALIVE.interval_seconds,
            }
        },
        "load_assignment": {
            "cluster_name": link.name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(link)}}]}],
        },
        **({"transport_socket": _tls(link)} if link.tls else {}),
    }


def _member(target: Target, link: Link) -> Resource:
    through = {"envoy_internal_address": {"server_listener_name": link.name, "endpoint_id": target.host}}
    told = {
        "host": target.host,
        "id": target.model_id,
        "link": link.name,
        "to": f"{link.authority} {link.path} {json.dumps(target.model_id)}",
    }
    return {
        "locality": {"zone": target.host},
        "load_balancing_weight": target.weight,
        "lb_endpoints": [
            {
                "endpoint": {"address": _address(link) if link.is_plain else through, "hostname": target.host},
                "metadata": {"filter_metadata": {NAMESPACE: told}},
            }
        ],
    }


def links_of(model: ModelPlan) -> list[tuple[str, tuple[Target, ...]]]:
    """The links of a model's chain, each a cluster's name and its hosts: the sharing ones, then each fallback."""
    return [
        *([(link_name(model.name, 0), model.sharing)] if model.sharing else []),
        *((link_name(model.name, target.priority), (target,)) for target in model.fallbacks),
    ]


_TO_THE_LISTENER: Resource = {
    "name": "envoy.transport_sockets.internal_upstream",
    "typed_config": {
        "@type": TYPE + "envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
        "transport_socket": {
            "name": "envoy.transport_sockets.raw_buffer",
            "typed_config": {"@type": TYPE + "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"},
        },
    },
}


def _link_cluster(
    name: str, targets: tuple[Target, ...], links: Mapping[str, Link], limits: Limits, *, last: bool
) -> Resource:
    return {
        "@type": TYPE + "envoy.config.cluster.v3.Cluster",
        "name": name,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [_member(target, links[target.host]) for target in targets],
        },
        "connect_timeout": milliseconds(limits.connect_timeout),
        "per_connection_buffer_limit_bytes": READ_AHEAD,
        "lb_policy": "ROUND_ROBIN",
        "common_lb_config": {
            "locality_weighted_lb_config": {},
            "healthy_panic_threshold": {"value": PANIC_PERCENT if last else 0},
        },
        "circuit_breakers": _limits(),
        "outlier_detection": {
            "consecutive_5xx": CONSECUTIVE_FAILURES,
            "enforcing_consecutive_gateway_failure": 0,
            "enforcing_success_rate": 0,
            "interval": milliseconds(EJECTION_INTERVAL_MILLISECONDS),
            "base_ejection_time": milliseconds(limits.ejection_time),
            "max_ejection_percent": MAX_EJECTION_PERCENT,
        },
        "transport_socket": _TO_THE_LISTENER,
    }


def model_clusters(model: ModelPlan, links: Mapping[str, Link], limits: Limits) -> list[Resource]:
    """The links of a model's chain, and the chain itself.  A move of its shares replaces the first link alone."""
    steps = links_of(model)
    return [
        *(
            _link_cluster(name, targets, links, limits, last=number == len(steps) - 1)
            for number, (name, targets) in enumerate(steps)
        ),
        {
            "@type": TYPE + "envoy.config.cluster.v3.Cluster",
            "name": model_name(model.name),
            "connect_timeout": milliseconds(limits.connect_timeout),
            "per_connection_buffer_limit_bytes": READ_AHEAD,
            "lb_policy": "CLUSTER_PROVIDED",
            "circuit_breakers": _limits(),
            "cluster_type": {
                "name": "envoy.clusters.composite",
                "typed_config": {
                    "@type": TYPE + "envoy.extensions.clusters.composite.v3.ClusterConfig",
                    "clusters": [{"name": name} for name, targets in steps for _ in targets],
                },
            },
        },
    ]


class ModelTexts:
    """Those of the latest plan."""

    def __init__(self) -> None:
        self._for_all: tuple[dict[str, Link], Limits] | None = None
        self._known: dict[str, tuple[ModelPlan, dict[str, str]]] = {}

    def of(self, models: Iterable[ModelPlan], links: Mapping[str, Link], limits: Limits) -> dict[str, str]:
        """The clusters of these models, by name."""
        for_all = dict(links), limits
        before = self._known if for_all == self._for_all else {}
        known: dict[str, tuple[ModelPlan, dict[str, str]]] = {}
        for model in models:
            same = before.get(model.name)
            if same is None or same[0] != model:
                clusters = model_clusters(model, links, limits)
                same = model, {cluster["name"]: text_of(cluster) for cluster in clusters}
            known[model.name] = same
        self._for_all, self._known = for_all, known
        return {name: text for _, texts in known.values() for name, text in texts.items()}
