from __future__ import annotations

from typing import Any

import pytest

from corral.local.drill.script import Exhaustion, caller, exhaustion, own_tenants
from tests.plan.world import LLAMA, SCOUT, build

MODELS = {LLAMA: {"shares": {"azure": 100}}, SCOUT: {"shares": {"bedrock": 100}}}


@pytest.mark.parametrize(
    ("tenants", "want", "own"),
    [
        (None, None, ()),
        ({"search": {}}, Exhaustion("drill-limited", LLAMA, "requests", 60), ("drill", "drill-limited")),
        (
            {"search": {"requestsPerMinute": 100_000}},
            Exhaustion("drill-limited", LLAMA, "requests", 60),
            ("drill", "drill-limited"),
        ),
        ({"search": {"requestsPerMinute": 120}}, Exhaustion("search", LLAMA, "requests", 120), ("drill",)),
        ({"search": {"tokensPerMinute": 200_000}}, Exhaustion("search", LLAMA, "tokens", 200_000), ("drill",)),
        (
            {"search": {"requestsPerMinute": 120, "perModel": {SCOUT: {"requestsPerMinute": 10}}}},
            Exhaustion("search", SCOUT, "requests", 10),
            ("drill",),
        ),
        (
            {"search": {"requestsPerMinute": 120, "models": [SCOUT]}, "drill": {}},
            Exhaustion("search", SCOUT, "requests", 120),
            ("drill-2",),
        ),
    ],
)
def test_the_limit_that_is_exceeded_first_and_the_tenants_of_the_drill(
    tenants: dict[str, Any] | None, want: Exhaustion | None, own: tuple[str, ...]
):
    plan = build(MODELS, **({"tenants": tenants} if tenants else {}))
    assert exhaustion(plan) == want
    assert tuple(tenant.name for tenant in own_tenants(plan)) == own
    assert caller(plan) == (own[0] if own else None)


@pytest.mark.parametrize(
    ("limit", "allowed", "words", "enough"), [("requests", 60, 1, 170), ("tokens", 200_000, 1_000, 450)]
)
def test_enough_requests_are_more_than_a_minute_may_hold(limit: Any, allowed: int, words: int, enough: int):
    found = Exhaustion("search", LLAMA, limit, allowed)
    assert (found.words, found.enough) == (words, enough)
