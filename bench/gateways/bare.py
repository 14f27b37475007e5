"""A bare Envoy with the same weights: no model, no key, no caller, no retries.  What everything else is compared to."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.gateways.gateway import Gateway
from bench.hosts import Hosts
from bench.machine import envoy_version
from bench.process import listens, running
from corral.local.envoy_process import claim_port, find_envoy

_TYPE = "type.googleapis.com/envoy.extensions.filters"


def _listener(port: int, shares: Mapping[str, int]) -> dict[str, Any]:
    weighted = [{"name": name, "weight": share} for name, share in shares.items()]
    route = {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": weighted}, "timeout": "0s"}}
    router = {"@type": f"{_TYPE}.http.router.v3.Router"}
    manager = {
        "@type": f"{_TYPE}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bare",
        "route_config": {"virtual_hosts": [{"name": "bare", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
    }
    return {
        "name": "bare",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _cluster(name: str, port: int) -> dict[str, Any]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


@asynccontextmanager
async def serving(hosts: Hosts, shares: Mapping[str, int], folder: Path) -> AsyncGenerator[Gateway]:
    """Runs it with a configuration that never changes."""
    port, file = claim_port("127.0.0.1", 0), folder / "bare.json"
    clusters = [_cluster(name, hosts.ports[name]) for name in shares]
    file.write_text(json.dumps({"static_resources": {"listeners": [_listener(port, shares)], "clusters": clusters}}))
    envoy = find_envoy()
    command = (envoy, "--config-path", file, "--use-dynamic-base-id", "--disable-hot-restart", "--log-level", "error")
    async with running("bare Envoy", command, folder, lambda: listens(port)) as process:
        yield Gateway(port, f"bare Envoy {envoy_version(envoy)}", process)
