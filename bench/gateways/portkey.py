"""Portkey's open-source gateway, from npm, on Node.js: one process, as it comes.

It takes the shares and the hosts' keys from a header of each request, and does not ask callers who they are.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from bench.environment import node_package
from bench.gateways.gateway import MODEL, Gateway
from bench.hosts import Hosts, key, model_id
from bench.process import UnavailableError, listens, running
from corral.local.envoy_process import claim_port

VERSION = "1.15.2"
_OVERRIDES = {"@hono/node-server": "1.14.1"}
"""The newest with which it streams; with later ones, which it allows, it answers 500 (its issue 1389)."""


@asynccontextmanager
async def serving(hosts: Hosts, shares: Mapping[str, int], folder: Path) -> AsyncGenerator[Gateway]:
    """Serves one model.  Raises UnavailableError."""
    node = shutil.which("node")
    if not node:
        raise UnavailableError("Node.js is not on PATH")
    package = await node_package("@portkey-ai/gateway", VERSION, _OVERRIDES)
    targets = [
        {
            "provider": "openai",
            "custom_host": hosts.url(host),
            "api_key": key(host),
            "weight": share / 100,
            "override_params": {"model": model_id(host, MODEL)},
        }
        for host, share in shares.items()
    ]
    port = claim_port("127.0.0.1", 0)
    command = (node, package / "build" / "start-server.js", f"--port={port}", "--headless")
    variables = {"NODE_ENV": "production"}
    async with running("portkey", command, folder, lambda: listens(port), cwd=package, variables=variables) as process:
        config = json.dumps({"strategy": {"mode": "loadbalance"}, "targets": targets})
        yield Gateway(port, f"Portkey {VERSION}", process, {"x-portkey-config": config})
