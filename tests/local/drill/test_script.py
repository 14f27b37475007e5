from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from corral.config.stack import Stack
from corral.local.drill.script import (
    Break,
    Compare,
    Exhaust,
    Exhaustion,
    Fail,
    Move,
    Skipped,
    Watch,
    declared,
    scale_of,
    script,
)
from corral.plan import build as planning
from tests.plan.strategies import stacks
from tests.plan.world import CATALOG, LLAMA, SCOUT, build, price_of

THREE = {LLAMA: {"shares": {"bedrock": 50, "azure": 30, "vllm": 20}, "fallback": ["deepinfra"]}}


def test_the_whole_script_of_three_hosts_and_a_fallback():
    moved = {"bedrock": 20, "azure": 30, "vllm": 50}, {"bedrock": 0, "azure": 60, "vllm": 40}
    assert script(build(THREE, tenants={"search": {}})) == (
        Compare(5, LLAMA, "azure"),
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
        Exhaust(2, Exhaustion("drill-limited", LLAMA, "requests", 60)),
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
                "the gateway beside a host itself": "no sharing host speaks the protocol that clients speak",
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
def test_whatever_the_stack_every_move_is_whole_and_every_failure_leaves_a_host(said: dict[str, Any]):
    plan = planning.build(Stack.model_validate(said), CATALOG, price_of)
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
