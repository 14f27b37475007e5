from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from pydantic import TypeAdapter

from corral.config.stack import Stack
from corral.plan import build as planning
from corral.plan.callers import Issuer, Rate, TenantPlan
from corral.plan.plan import Plan
from corral.plan.residency import stays_within
from corral.plan.tenants import served_to
from tests.plan.strategies import stacks
from tests.plan.world import CATALOG, LLAMA, PRICES, SCOUT, build, model

MODELS = {name: {"shares": {"bedrock": 100}} for name in (SCOUT, LLAMA)}
ONE, OTHER = "1" * 64, "2" * 64

ANYTHING = TenantPlan(
    name="search",
    keys=(),
    claims=(),
    models=(LLAMA, SCOUT),
    residency=None,
    allowed_regions=None,
    priority="normal",
    rate=Rate(),
    rates=(),
    concurrent=None,
    body_limit=None,
)
US_EAST_1 = replace(ANYTHING, residency=("us-east-1",), allowed_regions=frozenset({"us-east-1"}))
EU = replace(ANYTHING, residency=("eu",), allowed_regions=frozenset({"eu", "eu-west-1"}))


def test_a_tenant_that_says_nothing_may_ask_for_everything_without_limit() -> None:
    assert build(MODELS, tenants={"search": {}}).tenants == (ANYTHING,)


def test_what_a_tenant_says_stands_in_its_plan_in_order() -> None:
    plan = build(
        MODELS,
        tenants={
            "support": {},
            "search": {
                "keys": [f"sha256:{OTHER}", f"sha256:{ONE}"],
                "claims": ["team-search", "desk"],
                "models": [LLAMA],
                "residency": ["us-west-2", "eu"],
                "priority": "high",
                "requestsPerMinute": 600,
                "tokensPerMinute": "200k",
                "concurrentRequests": 20,
                "bodyLimit": "1Mi",
                "perModel": {LLAMA: {"requestsPerMinute": 60, "tokensPerMinute": "20k"}},
            },
        },
        issuers=[
            {
                "issuer": "https://login.example.com/",
                "audiences": ["llm", "corral"],
                "jwks": "https://login.example.com/k",
            },
            {"issuer": "cluster", "audiences": ["corral"], "jwksFile": "keys.json", "claim": "kubernetes.team"},
        ],
    )
    assert plan.tenants == (
        TenantPlan(
            name="search",
            keys=(ONE, OTHER),
            claims=("desk", "team-search"),
            models=(LLAMA,),
            residency=("eu", "us-west-2"),
            allowed_regions=frozenset({"eu", "eu-west-1", "us-west-2"}),
            priority="high",
            rate=Rate(requests=600, tokens=200_000),
            rates=((LLAMA, Rate(requests=60, tokens=20_000)),),
            concurrent=20,
            body_limit=2**20,
        ),
        replace(ANYTHING, name="support", claims=("support",)),
    )
    assert plan.issuers == (
        Issuer("cluster", ("corral",), None, "keys.json", "kubernetes.team"),
        Issuer("https://login.example.com/", ("corral", "llm"), "https://login.example.com/k", None, "sub"),
    )


def test_without_tenants_one_machine_asks_nobody_and_a_cluster_has_one() -> None:
    assert (build(MODELS).tenants, build(MODELS, engine={"kind": "kubernetes"}).tenants) == (
        (),
        (replace(ANYTHING, name="default"),),
    )


@dataclass(frozen=True)
class Case:
    name: str
    shares: dict[str, int]
    fallback: tuple[str, ...]
    tenant: TenantPlan
    want: list[tuple[str, int, int]]
    """Host, weight and priority."""


CASES = [
    Case(
        "a tenant without a residency gets what there is",
        {"vllm": 60, "azure": 40},
        ("lab",),
        ANYTHING,
        [("azure", 40, 0), ("vllm", 60, 0), ("lab", 100, 1)],
    ),
    Case(
        "hosts elsewhere, and those of which nobody knows where they are, are left out",
        {"vllm": 60, "azure": 20, "bedrock": 20},
        ("deepinfra", "lab"),
        US_EAST_1,
        [("vllm", 60, 0)],
    ),
    Case(
        "where no sharing host is left the first fallback moves up",
        {"vllm": 60, "azure": 40},
        ("deepinfra", "lab"),
        EU,
        [("lab", 100, 0)],
    ),
    Case(
        "a drained host stays drained beside it",
        {"azure": 100, "vllm": 0},
        ("bedrock", "lab"),
        replace(EU, allowed_regions=frozenset({"eu-west-1", "us-east-1"})),
        [("lab", 100, 0), ("vllm", 0, 0)],
    ),
    Case("nobody may be left", {"bedrock": 100}, ("vllm",), EU, []),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_tenant_is_served_by_the_hosts_that_its_residency_allows(case: Case) -> None:
    served = served_to(model(case.shares, *case.fallback), case.tenant)
    assert [(each.host, each.weight, each.priority) for each in served.targets] == case.want


def planned(said: dict[str, Any]) -> Plan:
    return planning.build(Stack.model_validate(said), CATALOG, PRICES)


@given(stacks(serving=True))
def test_nobody_is_served_by_a_host_that_others_are_not_served_by_or_that_may_be_elsewhere(
    said: dict[str, Any],
) -> None:
    plan = planned(said)
    for tenant in plan.tenants:
        for whole in plan.models:
            served = served_to(whole, tenant)
            before = {each.host: each for each in whole.targets}
            assert all(
                replace(each, priority=before[each.host].priority) == before[each.host] for each in served.targets
            )
            assert {each.host for each in served.targets} == {
                host for host, each in before.items() if stays_within(each, tenant.allowed_regions)
            }


@given(stacks(serving=True))
def test_who_comes_first_still_does_and_priorities_count_up_from_0(said: dict[str, Any]) -> None:
    plan = planned(said)
    for tenant in plan.tenants:
        for whole in plan.models:
            live = [each for each in served_to(whole, tenant).targets if each.live]
            priorities = [each.priority for each in live]
            assert sorted(set(priorities)) == list(range(len(set(priorities))))
            old = {each.host: each.priority for each in whole.targets}
            assert all((a.priority < b.priority) == (old[a.host] < old[b.host]) for a, b in pairwise(live))
            places = [(each.priority, each.host) for each in served_to(whole, tenant).targets]
            assert places == sorted(places)


@given(stacks())
def test_a_plan_with_tenants_comes_back_from_json_as_it_was(said: dict[str, Any]) -> None:
    adapter, plan = TypeAdapter(Plan), planned(said)
    assert adapter.validate_json(adapter.dump_json(plan)) == plan
