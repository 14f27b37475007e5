"""Looks at an engine that was never there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from corral.local.page.state import Look
from corral.local.statistics.readings import Key, Timed
from corral.plan.plan import Plan
from tests.plan.world import LLAMA, build

PLAN = build({LLAMA: {"shares": {"bedrock": 60, "deepinfra": 40, "azure": 0}, "fallback": ["lab"]}})
MOVED = build({LLAMA: {"shares": {"bedrock": 10, "deepinfra": 90, "azure": 0}, "fallback": ["lab"]}})
SHARES = f"model/{LLAMA} shares"
"""The cluster of the sharing hosts."""
START = 1_795_000_000_000


def requests(host: str, number: int, code: int = 200, tenant: str = "") -> Counter[Key]:
    """Requests that a host answered at once."""
    return Counter(
        {
            Key("requests", LLAMA, host, code, tenant): number,
            Key("attempts", LLAMA, host, code): number,
        }
    )


def tokens(host: str, given: int, answered: int, tenant: str = "") -> Counter[Key]:
    return Counter(
        {
            Key("input_tokens", LLAMA, host, tenant=tenant): given,
            Key("output_tokens", LLAMA, host, tenant=tenant): answered,
        }
    )


def limited(tenant: str, limit: str, number: int) -> Counter[Key]:
    """Requests that a tenant's limit has refused."""
    return Counter(
        {
            Key("requests", LLAMA, "", 429, tenant): number,
            Key("limited", LLAMA, tenant=tenant, limit=limit): number,
        }
    )


def look(
    second: float,
    counters: Counter[Key],
    plan: Plan = PLAN,
    *,
    times: Counter[Timed] | None = None,
    out: frozenset[tuple[str, str]] = frozenset(),
    faults: Mapping[str, str] | None = None,
    simulated: Mapping[str, str | None] | None = None,
    under_way: Mapping[str, int] | None = None,
) -> Look:
    """A look `second` seconds after the start; counters count from the start."""
    return Look(
        at=1000 + second,
        time=START + int(second * 1000),
        plan=plan,
        counters=counters,
        times=times,
        out=out,
        faults=faults or {},
        simulated=simulated or {},
        under_way=under_way or {},
    )
