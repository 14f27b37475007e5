"""What an edit changes for those who may call."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from corral.config.stack import Stack
from corral.plan import build as planning
from corral.plan.diff import IssuerMove, TenantLimit, TenantMove, TenantSide, move
from corral.plan.plan import Plan
from tests.plan.strategies import stacks
from tests.plan.world import CATALOG, LLAMA, PRICES, SCOUT, build

BOTH = (LLAMA, SCOUT)
ISSUER = {"issuer": "https://login.example.com/", "audiences": ["corral"], "jwksFile": "keys.json"}
PLAIN = TenantSide(residency=None, priority="normal", keys=0, claims=())
SAME = TenantMove(
    tenant="search",
    change="changed",
    limits=(),
    allowed=(),
    withdrawn=(),
    keys_added=0,
    keys_removed=0,
    before=PLAIN,
    after=PLAIN,
)


def plan(tenants: dict[str, Any] | None, *models: str, **more: Any) -> Plan:
    said = {} if tenants is None else {"tenants": tenants}
    return build({name: {"shares": {"bedrock": 100}} for name in models or BOTH}, **said, **more)


def keys(*digits: str) -> list[str]:
    return [f"sha256:{digit * 64}" for digit in digits]


CASES = [
    ({}, {}, None),
    (
        {"requestsPerMinute": 600, "tokensPerMinute": "1k", "perModel": {LLAMA: {"tokensPerMinute": 10}}},
        {
            "requestsPerMinute": 60,
            "concurrentRequests": 5,
            "bodyLimit": "1Ki",
            "perModel": {SCOUT: {"requestsPerMinute": 1}},
        },
        replace(
            SAME,
            limits=(
                TenantLimit("requests_per_minute", None, 600, 60),
                TenantLimit("tokens_per_minute", None, 1_000, None),
                TenantLimit("concurrent_requests", None, None, 5),
                TenantLimit("body_limit", None, None, 1_024),
                TenantLimit("tokens_per_minute", LLAMA, 10, None),
                TenantLimit("requests_per_minute", SCOUT, None, 1),
            ),
        ),
    ),
    (
        {"budget": {"day": 1, "month": 20}},
        {"budget": {"month": 30, "atLimit": "allow"}},
        replace(
            SAME,
            limits=(
                TenantLimit("day_budget", None, 1_000_000, None),
                TenantLimit("month_budget", None, 20_000_000, 30_000_000),
            ),
            before=replace(PLAIN, at_limit="refuse"),
            after=replace(PLAIN, at_limit="allow"),
        ),
    ),
    ({"models": [LLAMA]}, {"models": [SCOUT]}, replace(SAME, allowed=(SCOUT,), withdrawn=(LLAMA,))),
    ({"models": [LLAMA]}, {}, replace(SAME, allowed=(SCOUT,))),
    ({"models": [SCOUT, LLAMA]}, {}, None),
    (
        {"residency": ["us"]},
        {"residency": ["us", "eu"], "priority": "high"},
        replace(
            SAME,
            before=replace(PLAIN, residency=("us",)),
            after=replace(PLAIN, residency=("eu", "us"), priority="high"),
        ),
    ),
    (
        {"keys": keys("1", "2")},
        {"keys": keys("2", "3")},
        replace(SAME, keys_added=1, keys_removed=1, before=replace(PLAIN, keys=2), after=replace(PLAIN, keys=2)),
    ),
]


@pytest.mark.parametrize(("before", "after", "want"), CASES)
def test_an_edit_of_a_tenant_says_what_is_different(
    before: dict[str, Any], after: dict[str, Any], want: TenantMove | None
) -> None:
    found = move(plan({"search": before, "other": {}}), plan({"search": after, "other": {}})).tenants
    assert found == ((want,) if want else ())


def test_tenants_come_and_go() -> None:
    one, two = plan({"search": {"models": [LLAMA], "requestsPerMinute": 6}}), plan({"support": {}})
    search = replace(SAME, limits=(TenantLimit("requests_per_minute", None, 6, None),), withdrawn=(LLAMA,))
    assert move(one, two).tenants == (
        replace(search, change="removed", after=None),
        replace(SAME, tenant="support", change="added", allowed=BOTH, before=None),
    )
    assert [each.change for each in move(None, one).tenants] == ["added"]
    assert [each.change for each in move(one, None).tenants] == ["removed"]
    assert [each.change for each in move(plan(None), one).tenants] == ["added"]


def test_a_model_that_comes_or_goes_is_no_change_of_what_a_tenant_may_ask_for() -> None:
    assert move(plan({"search": {}}, LLAMA), plan({"search": {}}, LLAMA, SCOUT)).tenants == ()
    assert move(plan({"search": {}}, LLAMA, SCOUT), plan({"search": {}}, LLAMA)).tenants == ()


def test_issuers_come_go_and_change_and_with_them_the_claims_of_tenants() -> None:
    tenants = {"search": {"models": [LLAMA]}}
    without, with_one = plan(tenants), plan(tenants, issuers=[ISSUER])
    assert move(without, with_one).issuers == (IssuerMove("https://login.example.com/", "added"),)
    assert move(with_one, without).issuers == (IssuerMove("https://login.example.com/", "removed"),)
    other = plan(tenants, issuers=[{**ISSUER, "claim": "team"}])
    assert move(with_one, other).issuers == (IssuerMove("https://login.example.com/", "changed"),)
    assert move(with_one, with_one).issuers == ()
    assert move(without, with_one).tenants == (replace(SAME, after=replace(PLAIN, claims=("search",))),)


def planned(said: dict[str, Any]) -> Plan:
    return planning.build(Stack.model_validate(said), CATALOG, PRICES)


@given(stacks(), stacks())
def test_a_move_is_empty_where_nothing_differs_and_its_way_back_is_its_mirror(
    one: dict[str, Any], two: dict[str, Any]
) -> None:
    before, after = planned(one), planned(two)
    assert not move(before, before)
    back = move(after, before).tenants
    mirror = {"added": "removed", "removed": "added", "changed": "changed"}
    assert [(each.tenant, mirror[each.change], each.withdrawn, each.allowed) for each in back] == [
        (each.tenant, each.change, each.allowed, each.withdrawn) for each in move(before, after).tenants
    ]
