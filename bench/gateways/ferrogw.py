"""Ferro Labs' gateway in Go, from PyPI: weights and hosts' own ids; each host is a provider that it knows by name.

It asks callers for its master key.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from bench.environment import python_environment
from bench.gateways.gateway import MODEL, Gateway
from bench.hosts import Hosts, key, model_id
from bench.process import listens, running
from corral.local.envoy_process import claim_port

VERSION = "1.5.10"
_KEY = f"fgw_{'0' * 32}"
_PROVIDERS = ("together", "deepinfra")
"""Two that speak OpenAI's protocol, at whatever URL a variable names."""


@asynccontextmanager
async def serving(hosts: Hosts, shares: Mapping[str, int], folder: Path) -> AsyncGenerator[Gateway]:
    """Serves one model.  Raises UnavailableError."""
    programs = await python_environment("ferrogw", f"ferrogw=={VERSION}")
    port, file = claim_port("127.0.0.1", 0), folder / "ferrogw.json"
    named = dict(zip(_PROVIDERS, shares, strict=True))
    targets = [
        {
            "virtual_key": provider,
            "weight": shares[host],
            "models": [MODEL],
            "model_map": {MODEL: model_id(host, MODEL)},
        }
        for provider, host in named.items()
    ]
    file.write_text(json.dumps({"strategy": {"mode": "loadbalance"}, "targets": targets}))
    variables = {"GATEWAY_CONFIG": str(file), "PORT": str(port), "MASTER_KEY": _KEY, "RATE_LIMIT_RPS": "0"}
    for provider, host in named.items():
        variables |= {f"{provider.upper()}_API_KEY": key(host), f"{provider.upper()}_BASE_URL": hosts.url(host)}
    command = (programs / "ferrogw", "serve")
    async with running("ferrogw", command, folder, lambda: listens(port), cwd=folder, variables=variables) as process:
        yield Gateway(port, f"ferrogw {VERSION}", process, {"authorization": f"Bearer {_KEY}"})
