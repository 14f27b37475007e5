"""What Envoy is started with: its admin socket and the files it watches.  It never changes while Envoy runs."""

from __future__ import annotations

from components.render.envoy import statistics
from components.render.envoy.names import TYPE, Files, Resource, watched

_CONNECTIONS = 50_000
"""Clients connected at once; more are refused, so that memory stays bounded."""


def bootstrap(files: Files) -> Resource:
    """The bootstrap configuration."""
    return {
        "node": {"id": "corral", "cluster": "corral"},
        "admin": {"address": {"pipe": {"path": str(files.admin_socket), "mode": 0o600}}},
        "dynamic_resources": {"cds_config": watched(files.clusters), "lds_config": watched(files.listeners)},
        "bootstrap_extensions": [
            {
                "name": "envoy.bootstrap.internal_listener",
                "typed_config": {"@type": TYPE + "envoy.extensions.bootstrap.internal_listener.v3.InternalListener"},
            }
        ],
        "stats_config": {
            "use_all_default_tags": False,
            "stats_matcher": {"inclusion_list": {"patterns": statistics.KEPT}},
        },
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": TYPE
                        + "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                        "max_active_downstream_connections": _CONNECTIONS,
                    },
                }
            ]
        },
    }
