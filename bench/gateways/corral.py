"""The local gateway, as `corral serve` serves it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from bench.gateways.gateway import MODEL, Gateway
from bench.hosts import Hosts
from bench.machine import envoy_version
from bench.stack import served, stack
from corral.local.envoy_process import find_envoy


@asynccontextmanager
async def serving(hosts: Hosts, shares: Mapping[str, int], folder: Path) -> AsyncGenerator[Gateway]:
    """Serves one model."""
    declared = stack([MODEL], {host: hosts.url(host) for host in shares}, {MODEL: shares})
    project = folder / "corral"
    project.mkdir()
    async with served(declared, project) as (known, process):
        name = f"Corral {version('corral')}, Envoy {envoy_version(find_envoy())}"
        yield Gateway(urlsplit(known.url).port or 80, name, process, declared.headers)
