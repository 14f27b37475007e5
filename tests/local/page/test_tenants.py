"""What the page is told of tenants."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from corral.local.budgets import BudgetStatus
from corral.local.page.state import Snapshot
from corral.local.page.watch import Watch
from corral.local.statistics.readings import Series
from tests.local.page.snapshots import PLAN, limited, requests, snapshot, tokens
from tests.plan.world import LLAMA, build

TENANTS = {"batch": {"concurrentRequests": 3, "requestsPerMinute": 60}, "search": {}}
OF_TENANTS = build({LLAMA: {"shares": {"bedrock": 60, "deepinfra": 20, "vllm": 20}}}, tenants=TENANTS)


def tenants(*snapshots: Snapshot) -> dict[str, Any]:
    seen = Watch("http://127.0.0.1:8080/v1")
    for each in snapshots:
        seen.observe(each)
    return seen.state()["tenants"]


def after_five_seconds(counters: Counter[Series]) -> dict[str, Any]:
    return tenants(snapshot(0, Counter(), OF_TENANTS), snapshot(5, counters, OF_TENANTS))


IDLE = {"rps": 0, "tps": 0, "cost": 0, "serverErrors": 0, "clientErrors": 0, "limited": {}}
NOT_CALLED = {"batch": {**IDLE, "active": 0, "concurrent": 3}, "search": IDLE}


def test_the_numbers_of_each_tenant():
    counted = (
        requests("bedrock", 50, tenant="search")
        + requests("deepinfra", 50, tenant="search")
        + tokens("bedrock", 450_000, 50_000, "search")
        + tokens("deepinfra", 100_000, 100_000, "search")
        + requests("deepinfra", 20, tenant="batch")
        + tokens("deepinfra", 10_000, 5_000, "batch")
        + requests("", 2, 503, "batch")
        + requests("", 1, 403, "batch")
        + limited("batch", "requests", 7)
        + limited("batch", "tokens", 2)
        + limited("batch", "concurrent", 1)
        + requests("", 4, 401)  # nobody's
    )
    seen = tenants(snapshot(0, Counter(), OF_TENANTS), snapshot(5, counted, OF_TENANTS, active={"batch": 2}))
    assert seen == {
        "batch": {
            "rps": 6.6,
            "tps": 3_000,
            "cost": 720 * (1_300 + 2_000),  # 10,000 at $0.13 and 5,000 at $0.40 a million, 720 times 5 s
            "serverErrors": 2,
            "clientErrors": 11,
            "limited": {"requests": 7, "tokens": 2, "concurrent": 1},
            "active": 2,
            "concurrent": 3,
        },
        "search": {
            "rps": 20,
            "tps": 140_000,
            "cost": 720 * (360_000 + 13_000 + 40_000),
            "serverErrors": 0,
            "clientErrors": 0,
            "limited": {},
        },
    }


def test_a_tenant_that_has_not_called_has_zeros():
    assert tenants(snapshot(0, Counter(), OF_TENANTS)) == after_five_seconds(Counter()) == NOT_CALLED


@pytest.mark.parametrize(
    ("more", "unknown"),
    [
        (tokens("vllm", 100, 10, "search"), {"cost"}),  # nobody knows its price
        (requests("vllm", 1, 503, "search"), set[str]()),
        (requests("deepinfra", 1, tenant="search"), {"cost", "tps"}),  # nobody counted its tokens
        (requests("deepinfra", 1, 400, "search"), set[str]()),
        (Counter({Series("requests", "models", "", 200, "search"): 1}), set[str]()),  # asks no host
    ],
)
def test_a_cost_is_unknown_where_a_part_of_it_is(more: Counter[Series], unknown: set[str]):
    priced = requests("bedrock", 10, tenant="search") + tokens("bedrock", 1_000, 100, "search")
    state = after_five_seconds(priced + more)
    assert IDLE.keys() - state["search"].keys() == unknown
    assert state["batch"] == NOT_CALLED["batch"]


def test_what_a_limit_refused_is_forgotten_after_half_a_minute():
    refused = limited("batch", "requests", 5)
    snapshots = [snapshot(second, refused if second else Counter(), OF_TENANTS) for second in range(0, 41, 10)]
    assert tenants(*snapshots[:2])["batch"]["limited"] == {"requests": 5}
    assert tenants(*snapshots) == NOT_CALLED


def test_where_nobody_is_asked_who_calls_there_are_no_tenants():
    seen = Watch("http://127.0.0.1:8080/v1")
    seen.observe(snapshot(0, Counter(), PLAN))
    assert "tenants" not in seen.state()


def test_what_a_tenant_has_used_of_its_budgets():
    budgets = (
        BudgetStatus("search", "day", 300_000_000, 12_345_678, refuses=True),
        BudgetStatus("search", "month", 4_000_000_000, 99_000_000, refuses=True),
    )
    counted = limited("search", "budget", 3)
    seen = tenants(snapshot(0, Counter(), OF_TENANTS), replace(snapshot(5, counted, OF_TENANTS), budgets=budgets))
    assert seen["search"] == {
        **IDLE,
        "clientErrors": 3,
        "limited": {"budget": 3},
        "rps": 0.6,
        "budgets": {
            "day": {"limit": 300_000_000, "used": 12_345_678},
            "month": {"limit": 4_000_000_000, "used": 99_000_000},
        },
    }
