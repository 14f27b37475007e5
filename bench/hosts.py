"""The far side of a measurement: an Envoy that answers at once on several ports, and a bare Envoy in front of it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from components.embedded.binary import find_envoy
from components.embedded.engine import claim_port
from components.embedded.process import Child
from components.render.envoy.names import TYPE

ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 24, "completion_tokens": 2, "total_tokens": 26},
    }
)


def _listener(name: str, port: int, route: Mapping[str, Any]) -> dict[str, Any]:
    manager = {
        "@type": TYPE + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "route_config": {"virtual_hosts": [{"name": name, "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": TYPE + "envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    return {
        "name": name,
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
        "circuit_breakers": {"thresholds": [{"max_requests": 100_000, "max_connections": 100_000}]},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


@asynccontextmanager
async def _envoy(name: str, folder: Path, resources: Mapping[str, Any], port: int) -> AsyncGenerator[None]:
    file = folder / f"{name}.json"
    file.write_text(json.dumps({"static_resources": resources}))
    command = (find_envoy(), "--config-path", file, "--use-dynamic-base-id", "--disable-hot-restart", "-l", "error")
    child = await Child.start(name, command)
    try:
        while not _listens(port):
            if not child.running:
                raise SystemExit(f"{name} ended: {child.last_words}")
            await asyncio.sleep(0.02)
        yield
    finally:
        await child.stop()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@asynccontextmanager
async def answering(names: list[str], folder: Path) -> AsyncGenerator[dict[str, int]]:
    """Hosts that answer every request with the same small completion; a port per name."""
    ports = {name: claim_port("127.0.0.1", 0) for name in names}
    answer = {
        "match": {"prefix": "/"},
        "direct_response": {"status": 200, "body": {"inline_string": ANSWER}},
        "response_headers_to_add": [
            {
                "header": {"key": "content-type", "value": "application/json"},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        ],
    }
    listeners = [_listener(name, port, answer) for name, port in ports.items()]
    async with _envoy("hosts", folder, {"listeners": listeners}, next(iter(ports.values()))):
        yield ports


@asynccontextmanager
async def bare(ports: Mapping[str, int], shares: Mapping[str, int], folder: Path) -> AsyncGenerator[int]:
    """A bare Envoy with the same weights: no model, no key, no retries.  Its port."""
    port = claim_port("127.0.0.1", 0)
    weighted = [{"name": name, "weight": share} for name, share in shares.items()]
    route = {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": weighted}, "timeout": "0s"}}
    resources = {
        "listeners": [_listener("bare", port, route)],
        "clusters": [_cluster(name, at) for name, at in ports.items()],
    }
    async with _envoy("bare", folder, resources, port):
        yield port
