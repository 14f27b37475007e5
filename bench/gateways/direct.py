"""No gateway: the first host itself.  How much the load and the hosts can do."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from bench.gateways.gateway import Gateway
from bench.hosts import Hosts


@asynccontextmanager
async def serving(hosts: Hosts, shares: Mapping[str, int], folder: Path) -> AsyncGenerator[Gateway]:  # noqa: ARG001
    """The host that has the first share."""
    yield Gateway(hosts.ports[next(iter(shares))], "no gateway", None)
