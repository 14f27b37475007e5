"""Snapshots of an engine that was never there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from corral.local.page.state import Snapshot
from corral.local.statistics.readings import Readings, Series, Timed
from corral.plan.plan import Plan
from tests.plan.world import LLAMA, build

PLAN = build({LLAMA: {"shares": {"bedrock": 60, "deepinfra": 40, "azure": 0}, "fallback": ["lab"]}})
MOVED = build({LLAMA: {"shares": {"bedrock": 10, "deepinfra": 90, "azure": 0}, "fallback": ["lab"]}})
START = 1_795_000_000_000


def requests(host: str, number: int, code: int = 200, tenant: str = "") -> Counter[Series]:
    """Requests that a host answered at once."""
    return Counter(
        {
            Series("requests", LLAMA, host, code, tenant): number,
            Series("attempts", LLAMA, host, code): number,
        }
    )


def tokens(host: str, prompts: int, answers: int, tenant: str = "") -> Counter[Series]:
    return Counter(
        {
            Series("input_tokens", LLAMA, host, tenant=tenant): prompts,
            Series("output_tokens", LLAMA, host, tenant=tenant): answers,
        }
    )


def limited(tenant: str, limit: str, number: int) -> Counter[Series]:
    """Requests that a tenant's limit has refused."""
    return Counter(
        {
            Series("requests", LLAMA, "", 429, tenant): number,
            Series("limited", LLAMA, tenant=tenant, limit=limit): number,
        }
    )


def members(*hosts: str) -> frozenset[tuple[str, str]]:
    """Hosts that are left out of the model."""
    return frozenset((LLAMA, host) for host in hosts)


def snapshot(
    second: float,
    counters: Counter[Series],
    plan: Plan = PLAN,
    *,
    times: Counter[Timed] | None = None,
    ejected: frozenset[tuple[str, str]] = frozenset(),
    faults: Mapping[str, str] | None = None,
    simulated: Mapping[str, str | None] | None = None,
    active: Mapping[str, int] | None = None,
) -> Snapshot:
    """A snapshot `second` seconds after the start; counters count from the start."""
    return Snapshot(
        at=1000 + second,
        time=START + int(second * 1000),
        plan=plan,
        readings=Readings(counters, times or Counter(), active_of_tenants=active or {}, left_out=ejected),
        faults=faults or {},
        simulated=simulated or {},
    )
