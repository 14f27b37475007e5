from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.config.stack import Stack
from corral.local.drill.script import (
    Break,
    Exhaust,
    Fail,
    Move,
    Skipped,
    Watch,
    declared,
    drained,
    exhaust,
    own_tenants,
    scale_of,
    script,
    steady_tenant,
    swapped,
)
from corral.plan import build as planning
from tests.plan.strategies import stacks
from tests.plan.world import CATALOG, LLAMA, PRICES, SCOUT, build

THREE = {LLAMA: {"shares": {"bedrock": 50, "azure": 30, "vllm": 20}, "fallback": ["deepinfra"]}}


def test_the_whole_script_of_three_hosts_and_a_fallback():
    moved = {"bedrock": 20, "azure": 30, "vllm": 50}, {"bedrock": 0, "azure": 60, "vllm": 40}
    assert script(build(THREE, tenants={"search": {}})) == (
        Watch(8),
        Move(8, "swap shares", {LLAMA: moved[0]}),
        Move(8, "drain the largest share to 0", {LLAMA: moved[1]}),
        Move(8, "back to what is declared", {LLAMA: THREE[LLAMA]["shares"]}),
        Break(1.5, "unreadable"),
        Break(1.5, "sum"),
        Fail(4, ("bedrock",), "503"),
        Fail(4, ("azure",), "refused"),
        Fail(7, ("vllm",), "hang"),
        Fail(4, ("bedrock",), "slow-first-byte"),
        Fail(4, ("azure",), "429"),
        Fail(4, ("azure", "bedrock", "vllm"), "503"),
        Exhaust(2, "drill-limited", LLAMA, "requests", 60),
    )


def skipped(plan: Any) -> dict[str, str]:
    return {step.title: step.why for step in script(plan) if isinstance(step, Skipped)}


FAILURES = [
    "a host: answers 503",
    "a host: refuses connections",
    "a host: hangs",
    "a host: slow first byte",
    "a host: answers 429",
]


@pytest.mark.parametrize(
    ("models", "want"),
    [
        (
            {LLAMA: {"shares": {"azure": 100}}},
            {
                "move shares": "no model has a second sharing host to move them to",
                **dict.fromkeys(FAILURES, f"azure is the only host of {LLAMA}"),
                "all sharing hosts: answer 503": f"no fallback of {LLAMA} is then left",
            },
        ),
        (
            {LLAMA: {"shares": {"bedrock": 100}, "fallback": ["deepinfra"]}},
            {
                "move shares": "no model has a second sharing host to move them to",
                "all sharing hosts: answer 503": "bedrock is the only one, and has failed already",
            },
        ),
        (
            {LLAMA: {"shares": {"azure": 60, "vllm": 40}}},
            {"all sharing hosts: answer 503": f"no fallback of {LLAMA} is then left"},
        ),
        (
            {
                LLAMA: {"shares": {"azure": 60, "bedrock": 40}, "fallback": ["deepinfra"]},
                SCOUT: {"shares": {"bedrock": 100}},
            },
            {"all sharing hosts: answer 503": f"no fallback of {SCOUT} is then left"},
        ),
    ],
)
def test_a_step_without_room_is_skipped_and_says_why(models: dict[str, Any], want: dict[str, str]):
    assert skipped(build(models)) == {**want, "a tenant exceeds its limit": "the stack declares no tenants"}


def test_a_host_that_a_model_cannot_do_without_never_fails():
    plan = build({LLAMA: {"shares": {"azure": 60, "bedrock": 40}}, SCOUT: {"shares": {"bedrock": 100}}})
    assert {step.hosts for step in script(plan) if isinstance(step, Fail)} == {("azure",)}


def test_drained_hosts_stay_drained_and_fallbacks_have_no_share():
    plan = build({LLAMA: {"shares": {"azure": 60, "bedrock": 40, "vllm": 0}, "fallback": ["deepinfra"]}})
    assert declared(plan) == {LLAMA: {"azure": 60, "bedrock": 40, "vllm": 0}}
    assert [step.shares[LLAMA] for step in script(plan) if isinstance(step, Move)] == [
        {"azure": 40, "bedrock": 60, "vllm": 0},
        {"azure": 0, "bedrock": 100, "vllm": 0},
        {"azure": 60, "bedrock": 40, "vllm": 0},
    ]


@given(stacks(serving=True))
@settings(max_examples=60)
def test_whatever_the_stack_every_move_is_whole_and_every_failure_leaves_a_host(stack: dict[str, Any]):
    plan = planning.build(Stack.model_validate(stack), CATALOG, PRICES)
    present = declared(plan)
    for step in script(plan):
        if isinstance(step, Move):
            for model, shares in step.shares.items():
                assert shares.keys() == present[model].keys()
                assert sum(shares.values()) == 100
                assert shares != present[model]
                present[model] = dict(shares)
        if isinstance(step, Fail):
            for model in plan.models:
                live = {target.host for target in model.targets if target.live}
                assert not live or live - set(step.hosts)
    assert present == declared(plan), "in the end all is as declared"


@pytest.mark.parametrize("seconds", [30, 90, 600])
def test_a_scale_gives_a_script_about_its_length(seconds: float):
    plan = build(THREE)
    steps = [step for step in script(plan, scale_of(plan, seconds)) if not isinstance(step, Skipped)]
    fails = sum(isinstance(step, Fail) for step in steps)
    assert abs(sum(step.seconds for step in steps) + 2 * fails - seconds) < 3
    assert scale_of(plan, 1) == 0.1


@pytest.mark.parametrize(
    ("shares", "swap", "drain"),
    [
        ({"a": 100}, {"a": 100}, {"a": 100}),
        ({"a": 50, "b": 30, "c": 20}, {"a": 20, "b": 30, "c": 50}, {"a": 0, "b": 60, "c": 40}),
        ({"a": 50, "b": 50}, {"a": 75, "b": 25}, {"a": 0, "b": 100}),
        ({"a": 34, "b": 33, "c": 33}, {"a": 33, "b": 33, "c": 34}, {"a": 0, "b": 50, "c": 50}),
        ({"a": 97, "b": 2, "c": 1}, {"a": 1, "b": 2, "c": 97}, {"a": 0, "b": 67, "c": 33}),
        ({"a": 99, "b": 1, "c": 0}, {"a": 1, "b": 99, "c": 0}, {"a": 0, "b": 100, "c": 0}),
    ],
)
def test_the_edits_of_a_model(shares: dict[str, int], swap: dict[str, int], drain: dict[str, int]):
    assert (swapped(shares), drained(shares)) == (swap, drain)


@st.composite
def _shares(draw: st.DrawFn) -> dict[str, int]:
    cuts = sorted(draw(st.lists(st.integers(0, 100), max_size=7)))
    bounds = [0, *cuts, 100]
    sizes = [after - before for before, after in pairwise(bounds)]
    return {f"host-{number}": size for number, size in enumerate(sizes)}


@given(_shares())
def test_shares_stay_whole_and_together_100_and_hosts_without_one_get_none(shares: dict[str, int]):
    for edit in (swapped, drained):
        new = edit(shares)
        assert new.keys() == shares.keys()
        assert sum(new.values()) == 100
        assert all(0 <= share <= 100 for share in new.values())
        assert not [host for host, share in new.items() if share and not shares[host]]


@given(_shares())
def test_an_edit_of_several_sharing_hosts_changes_something_and_draining_empties_the_largest(shares: dict[str, int]):
    if sum(map(bool, shares.values())) > 1:
        assert swapped(shares) != shares
        largest = min(shares, key=lambda host: (-shares[host], host))
        assert drained(shares)[largest] == 0
        assert all(share for host, share in drained(shares).items() if shares[host] and host != largest)


MODELS = {LLAMA: {"shares": {"azure": 100}}, SCOUT: {"shares": {"bedrock": 100}}}


@pytest.mark.parametrize(
    ("tenants", "want", "own"),
    [
        (None, None, ()),
        ({"search": {}}, Exhaust(0, "drill-limited", LLAMA, "requests", 60), ("drill", "drill-limited")),
        (
            {"search": {"requestsPerMinute": 100_000}},
            Exhaust(0, "drill-limited", LLAMA, "requests", 60),
            ("drill", "drill-limited"),
        ),
        ({"search": {"requestsPerMinute": 120}}, Exhaust(0, "search", LLAMA, "requests", 120), ("drill",)),
        ({"search": {"tokensPerMinute": 200_000}}, Exhaust(0, "search", LLAMA, "tokens", 200_000), ("drill",)),
        (
            {"search": {"requestsPerMinute": 120, "perModel": {SCOUT: {"requestsPerMinute": 10}}}},
            Exhaust(0, "search", SCOUT, "requests", 10),
            ("drill",),
        ),
        (
            {"search": {"requestsPerMinute": 120, "models": [SCOUT]}, "drill": {}},
            Exhaust(0, "search", SCOUT, "requests", 120),
            ("drill-2",),
        ),
    ],
)
def test_the_limit_that_is_exceeded_first_and_the_tenants_of_the_drill(
    tenants: dict[str, Any] | None, want: Exhaust | None, own: tuple[str, ...]
):
    plan = build(MODELS, **({"tenants": tenants} if tenants else {}))
    assert exhaust(plan) == want
    assert tuple(tenant.name for tenant in own_tenants(plan)) == own
    assert steady_tenant(plan) == (own[0] if own else None)


@pytest.mark.parametrize(
    ("limit", "allowed", "words", "enough"), [("requests", 60, 1, 170), ("tokens", 200_000, 1_000, 450)]
)
def test_enough_requests_are_more_than_a_minute_may_hold(limit: Any, allowed: int, words: int, enough: int):
    exceeded = Exhaust(0, "search", LLAMA, limit, allowed)
    assert (exceeded.words, exceeded.enough) == (words, enough)
