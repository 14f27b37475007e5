"""The clusters: one for each host, and for each model a chain through which an attempt picks a host.

Policy of a model.  Its chain has one link for each attempt: as many for the sharing hosts as there are of them, then
one for each fallback in order.  An attempt picks, by weight, a sharing host that was not tried before; where a link has
no host that is well, the next one is taken at once.  A host that fails five times in a row is left out for
`ejectionTime` at first and longer each time after; every host may be left out, but the last link then tries its hosts
all the same, rather than nobody.

A host that needs TLS or DNS is not itself a member of a link: an internal listener is, which passes bytes on to the
host's own cluster.  So TLS and name resolution are set up once, however many models a host serves, and yet each model
judges its hosts by what they answer for this model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import combinations

from corral.local.envoy.names import NAMESPACE, link_name, model_name
from corral.local.envoy.resource import Resource, extension, milliseconds, text_of, typed
from corral.local.envoy.upstream import Upstream
from corral.plan import failover
from corral.plan.plan import ModelPlan, RequestSettings, Target

READ_AHEAD_BYTES = 2**20
"""How much of an answer waits for its client; while more does, the host is not read from.  It is also the most the
module is given at a time."""


_BOUNDS = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), failover.UNBOUNDED)
_UNBOUNDED: Resource = {"thresholds": [_BOUNDS]}


def _tls(upstream: Upstream) -> Resource:
    san = "IP_ADDRESS" if upstream.is_address else "DNS"
    return extension(
        "transport_sockets.tls.v3.UpstreamTlsContext",
        {
            **({} if upstream.is_address else {"sni": upstream.hostname}),
            "common_tls_context": {
                "alpn_protocols": ["http/1.1"],
                "validation_context": {
                    "trusted_ca": {"filename": upstream.ca},
                    "match_typed_subject_alt_names": [{"san_type": san, "matcher": {"exact": upstream.hostname}}],
                },
            },
        },
    )


def _address(upstream: Upstream) -> Resource:
    return {"socket_address": {"address": upstream.hostname, "port_value": upstream.port}}


_BY_NAME = extension(
    "clusters.dns.v3.DnsCluster",
    {"dns_lookup_family": "V4_PREFERRED", "respect_dns_ttl": True, "all_addresses_in_single_endpoint": True},
)


_HTTP = "extensions.upstreams.http.v3.HttpProtocolOptions"

_KEPT_OPEN: Resource = {
    "common_http_protocol_options": {"idle_timeout": "30s"},
    "explicit_http_config": {"http_protocol_options": {}},
}


def host_cluster(upstream: Upstream, settings: RequestSettings) -> Resource:
    """The connections to one host."""
    fields = {
        "name": upstream.name,
        **({"type": "STATIC"} if upstream.is_address else {"cluster_type": _BY_NAME}),
        "connect_timeout": milliseconds(settings.connect_timeout),
        "circuit_breakers": _UNBOUNDED,
        "typed_extension_protocol_options": {f"envoy.{_HTTP}": typed(_HTTP, _KEPT_OPEN)},
        "upstream_connection_options": {
            "tcp_keepalive": {
                "keepalive_probes": failover.HOST_KEEP_ALIVE.probes,
                "keepalive_time": failover.HOST_KEEP_ALIVE.idle_seconds,
                "keepalive_interval": failover.HOST_KEEP_ALIVE.interval_seconds,
            }
        },
        "load_assignment": {
            "cluster_name": upstream.name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(upstream)}}]}],
        },
        **({"transport_socket": _tls(upstream)} if upstream.tls else {}),
    }
    return typed("config.cluster.v3.Cluster", fields)


def _absences(model: ModelPlan) -> list[tuple[str, ...]]:
    """The sets of the model's hosts that a request may leave out for being throttled."""
    hosts = sorted(target.host for target in (*model.sharing, *model.fallbacks))
    if len(hosts) > failover.MAX_THROTTLED_HOSTS:
        return []
    return [each for size in range(1, len(hosts)) for each in combinations(hosts, size)]


def _member(target: Target, upstream: Upstream, absences: list[tuple[str, ...]]) -> Resource:
    through = {"envoy_internal_address": {"server_listener_name": upstream.name, "endpoint_id": target.host}}
    metadata = {
        "host": target.host,
        "id": target.model_id,
        "link": upstream.name,
        "authority": upstream.authority,
        "path": upstream.path,
        "json_id": json.dumps(target.model_id),
    }
    without = ["+".join(each) for each in absences if target.host not in each]
    picked = {"envoy.lb": {"without": without}} if without else {}
    return {
        "locality": {"zone": target.host},
        "load_balancing_weight": target.weight,
        "lb_endpoints": [
            {
                "endpoint": {"address": _address(upstream) if upstream.is_plain else through, "hostname": target.host},
                "metadata": {"filter_metadata": {NAMESPACE: metadata, **picked}},
            }
        ],
    }


_FAILURES = {"name": ":status", "string_match": {"safe_regex": {"regex": failover.EJECTING_STATUS}}}
_COUNTED: Resource = {
    "explicit_http_config": {"http_protocol_options": {}},
    "outlier_detection": {"error_matcher": {"http_response_headers_match": {"headers": [_FAILURES]}}},
}
"""Of answers those that count towards leaving a host out; no answer counts too.  Envoy looks for it at the chain."""

_TO_THE_LISTENER = extension(
    "transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
    {"transport_socket": extension("transport_sockets.raw_buffer.v3.RawBuffer")},
)


_SUBSETS: Resource = {"fallback_policy": "ANY_ENDPOINT", "locality_weight_aware": True, "list_as_any": True}


def _selector(*, last: bool) -> Resource:
    """Where all hosts of a link are left out the next link is taken; the last one tries them all the same."""
    return {"keys": ["without"], **({} if last else {"fallback_policy": "NO_FALLBACK"})}


def _link(
    name: str,
    targets: tuple[Target, ...],
    absences: list[tuple[str, ...]],
    upstreams: Mapping[str, Upstream],
    settings: RequestSettings,
    *,
    last: bool,
) -> Resource:
    fields = {
        "name": name,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [_member(target, upstreams[target.host], absences) for target in targets],
        },
        **({"lb_subset_config": {**_SUBSETS, "subset_selectors": [_selector(last=last)]}} if absences else {}),
        "connect_timeout": milliseconds(settings.connect_timeout),
        "per_connection_buffer_limit_bytes": READ_AHEAD_BYTES,
        "lb_policy": "ROUND_ROBIN",
        "common_lb_config": {
            "locality_weighted_lb_config": {},
            "healthy_panic_threshold": {"value": failover.PANIC_PERCENT if last else 0},
        },
        "circuit_breakers": _UNBOUNDED,
        "outlier_detection": {
            "consecutive_5xx": failover.CONSECUTIVE_FAILURES,
            "enforcing_consecutive_gateway_failure": 0,
            "enforcing_success_rate": 0,
            "interval": milliseconds(failover.EJECTION_INTERVAL_MILLISECONDS),
            "base_ejection_time": milliseconds(settings.ejection_time),
            "max_ejection_percent": failover.MAX_EJECTION_PERCENT,
        },
        "transport_socket": _TO_THE_LISTENER,
    }
    return typed("config.cluster.v3.Cluster", fields)


def model_clusters(model: ModelPlan, upstreams: Mapping[str, Upstream], settings: RequestSettings) -> list[Resource]:
    """The links of a model's chain, and the chain itself: one link for each attempt, two for a lone host, whose own
    answer a client would not get otherwise.  A move of its shares replaces the first link alone."""
    links = [(link_name(model.name, 0), model.sharing)] if model.sharing else []
    links += [(link_name(model.name, target.priority), (target,)) for target in model.fallbacks]
    attempts = [{"name": name} for name, targets in links for _ in targets]
    absences = _absences(model)
    chain = {
        "name": model_name(model.name),
        "connect_timeout": milliseconds(settings.connect_timeout),
        "per_connection_buffer_limit_bytes": READ_AHEAD_BYTES,
        "lb_policy": "CLUSTER_PROVIDED",
        "circuit_breakers": _UNBOUNDED,
        "typed_extension_protocol_options": {f"envoy.{_HTTP}": typed(_HTTP, _COUNTED)},
        "cluster_type": extension(
            "clusters.composite.v3.ClusterConfig",
            {"clusters": attempts if len(attempts) > 1 else attempts * 2},
        ),
    }
    return [
        *(_link(name, targets, absences, upstreams, settings, last=name == links[-1][0]) for name, targets in links),
        typed("config.cluster.v3.Cluster", chain),
    ]


class ClusterCache:
    """The clusters of the latest plan's models as they stand in Envoy's file.

    At a move nearly all models stay as they are, and what has stayed is not rendered again.  The text of a model
    depends on nothing but its plan, the upstreams and the request settings, and all three are compared whole.
    """

    def __init__(self) -> None:
        self._common: tuple[dict[str, Upstream], RequestSettings] | None = None
        self._models: dict[str, tuple[ModelPlan, dict[str, str]]] = {}

    def render(
        self, models: Iterable[ModelPlan], upstreams: Mapping[str, Upstream], settings: RequestSettings
    ) -> dict[str, str]:
        """The clusters of these models, by name."""
        common = dict(upstreams), settings
        before = self._models if common == self._common else {}
        now: dict[str, tuple[ModelPlan, dict[str, str]]] = {}
        for model in models:
            cached = before.get(model.name)
            if cached is None or cached[0] != model:
                clusters = model_clusters(model, upstreams, settings)
                cached = model, {cluster["name"]: text_of(cluster) for cluster in clusters}
            now[model.name] = cached
        self._common, self._models = common, now
        return {name: text for _, texts in now.values() for name, text in texts.items()}
