"""Routers of requests among servers of one's own, in Rust, from PyPI: vLLM's and the Shepherd Model Gateway.

Both send each server what the client sent: no shares (in turn here), no ids or keys of hosts, no callers.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from bench.environment import python_environment
from bench.gateways.gateway import Gateway
from bench.hosts import Hosts
from bench.process import listens, running
from corral.local.envoy_process import claim_port

VLLM_ROUTER, SMG = "0.1.17", "1.13.0"


@asynccontextmanager
async def _serving(
    hosts: Hosts, shares: Mapping[str, int], folder: Path, package: tuple[str, str], *launch: str
) -> AsyncGenerator[Gateway]:
    name, version = package
    programs = await python_environment(name, f"{name}=={version}")
    port = claim_port("127.0.0.1", 0)
    workers = [hosts.url(host).removesuffix("/v1") for host in shares]
    command = (programs / name, *launch, "--host", "127.0.0.1", "--port", str(port), "--policy", "round_robin")
    command = (*command, "--prometheus-port", str(claim_port("127.0.0.1", 0)), "--worker-urls", *workers)
    async with running(name, command, folder, lambda: listens(port), cwd=folder) as process:
        yield Gateway(port, f"{name} {version}", process)


@asynccontextmanager
async def vllm_router(hosts: Hosts, shares: Mapping[str, int], folder: Path) -> AsyncGenerator[Gateway]:
    """vLLM's router.  Raises UnavailableError."""
    async with _serving(hosts, shares, folder, ("vllm-router", VLLM_ROUTER)) as gateway:
        yield gateway


@asynccontextmanager
async def smg(hosts: Hosts, shares: Mapping[str, int], folder: Path) -> AsyncGenerator[Gateway]:
    """The Shepherd Model Gateway.  Raises UnavailableError."""
    async with _serving(hosts, shares, folder, ("smg", SMG), "launch", "--backend", "vllm") as gateway:
        yield gateway
