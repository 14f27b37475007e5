"""What Envoy is started with: its admin socket, the files it watches, and what it does before it runs out of something.
It never changes while Envoy runs.
"""

from __future__ import annotations

from corral.local.envoy import module, statistics
from corral.local.envoy.names import Files
from corral.local.envoy.resource import Resource, extension, typed, watched

_CONNECTIONS = 50_000
"""Clients connected at once, where the machine allows it; more are refused, so that memory stays bounded."""

_OWN_FILES = 500
"""Files that are open besides the connections."""

_RELEASED_BYTES = 2**26
"""Memory that is given back each second, of what is not needed any more."""


def _connections(open_files: int) -> int:
    """A client's request needs a connection to a host as well: clients get half of what there is."""
    return max(100, min(_CONNECTIONS, (open_files - _OWN_FILES) // 2))


def _overload(open_files: int, memory: int) -> Resource:
    def beyond(pressure: float) -> list[Resource]:
        return [{"name": "envoy.resource_monitors.fixed_heap", "threshold": {"value": pressure}}]

    return {
        "refresh_interval": "0.250s",
        "resource_monitors": [
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": typed(
                    "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                    {"max_active_downstream_connections": _connections(open_files)},
                ),
            },
            extension("resource_monitors.fixed_heap.v3.FixedHeapConfig", {"max_heap_size_bytes": memory // 2}),
        ],
        "actions": [
            {"name": "envoy.overload_actions.shrink_heap", "triggers": beyond(0.8)},
            {"name": "envoy.overload_actions.stop_accepting_requests", "triggers": beyond(0.9)},
        ],
    }


def bootstrap(files: Files, open_files: int, memory: int) -> Resource:
    """The bootstrap configuration; `open_files` and `memory` (bytes) are what this machine has of them.

    Half of the memory is for what Envoy holds of requests and answers, the other for its module and the system.
    Beyond nine tenths of it new requests are refused with 503: a process that is killed would answer none.
    """
    return {
        "node": {"id": "corral", "cluster": "corral"},
        "admin": {"address": {"pipe": {"path": str(files.admin_socket), "mode": 0o600}}},
        "dynamic_resources": {"cds_config": watched(files.clusters), "lds_config": watched(files.listeners)},
        "bootstrap_extensions": [module.bootstrap_extension(files)],
        "stats_config": {
            "use_all_default_tags": False,
            "stats_matcher": {"inclusion_list": {"patterns": statistics.KEPT}},
        },
        "memory_allocator_manager": {"bytes_to_release": _RELEASED_BYTES, "memory_release_interval": "1s"},
        "overload_manager": _overload(open_files, memory),
    }
