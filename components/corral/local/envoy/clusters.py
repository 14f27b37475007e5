"""The clusters: one for each host, however many models it serves.

Which of a model's hosts an attempt goes to, and who is left out, the module decides (`choice.c`); Envoy connects,
resolves names and verifies certificates.
"""

from __future__ import annotations

from corral.local.envoy.resource import Resource, extension, milliseconds, typed
from corral.local.envoy.upstream import Upstream
from corral.plan import failover
from corral.plan.plan import RequestSettings

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
        "per_connection_buffer_limit_bytes": READ_AHEAD_BYTES,
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
