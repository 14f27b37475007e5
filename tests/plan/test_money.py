from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.plan.gpus import Nodes
from corral.plan.money import (
    Blended,
    BreakEven,
    Monthly,
    Sums,
    Unpriced,
    blended,
    break_even,
    dollars,
    dollars_and_cents,
    monthly,
    nearest,
    sums,
)
from corral.plan.plan import ModelPlan, Plan, Price
from tests.plan.world import HOSTS, LLAMA, NODES, SCOUT, build, model


@dataclass(frozen=True)
class Case:
    name: str
    given: ModelPlan
    price: Blended | Unpriced
    month: Monthly | Unpriced | None


CASES = [
    Case("one host", model({"bedrock": 100}), Blended(720_000, 720_000), None),
    Case("by weight", model({"bedrock": 60, "azure": 40}), Blended(716_000, 716_000), None),
    Case(
        "a month lies between all prompt and all answer",
        model({"deepinfra": 100}, volume="900M"),
        Blended(130_000, 400_000),
        Monthly(117_000_000, 360_000_000),
    ),
    Case(
        "neither fallbacks nor drained hosts cost",
        model({"bedrock": 100, "vllm": 0}, "deepinfra", volume=1),
        Blended(720_000, 720_000),
        Monthly(1, 1),
    ),
    Case(
        "one unknown price makes the blend unknown",
        model({"bedrock": 50, "vllm": 25, "groq": 25}, volume=1),
        Unpriced(("groq", "vllm")),
        Unpriced(("groq", "vllm")),
    ),
    Case("free is a price", model({"lab": 100}), Blended(0, 0), None),
    Case("nobody shares it", model({"meta": 100}), Unpriced(()), None),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_tokens_cost(case: Case) -> None:
    assert (blended(case.given), monthly(case.given)) == (case.price, case.month)


@given(prices=st.lists(st.integers(0, 10**9), min_size=2, max_size=2), share=st.integers(1, 99))
def test_a_blend_lies_between_its_prices_and_within_half_a_micro_dollar_of_the_mean(
    prices: list[int], share: int
) -> None:
    planned = model({"bedrock": share, "azure": 100 - share})
    priced = replace(
        planned,
        targets=tuple(
            replace(target, price=Price(price, price, "stack"))
            for target, price in zip(planned.targets, prices, strict=True)
        ),
    )
    got = blended(priced)
    assert isinstance(got, Blended)
    assert min(prices) <= got.input <= max(prices)
    assert abs(100 * got.input - ((100 - share) * prices[0] + share * prices[1])) <= 50


@pytest.mark.parametrize(("quotient", "want"), [((0, 3), 0), ((1, 3), 0), ((1, 2), 1), ((2, 3), 1), ((5, 2), 3)])
def test_rounding_goes_to_the_nearest_and_up_from_the_middle(quotient: tuple[int, int], want: int) -> None:
    assert nearest(*quotient) == want


@pytest.mark.parametrize(
    ("micro", "want"),
    [(0, "$0.00"), (720_000, "$0.72"), (35_000, "$0.035"), (1, "$0.000001"), (1_234_500_000, "$1,234.50")],
)
def test_a_price_is_said_to_the_last_micro_dollar(micro: int, want: str) -> None:
    assert dollars(micro) == want


@pytest.mark.parametrize(
    ("micro", "want"),
    [(0, "$0.00"), (4_999, "$0.00"), (5_000, "$0.01"), (999_999, "$1.00"), (1_296 * 10**6, "$1,296.00")],
)
def test_a_sum_is_said_to_the_cent(micro: int, want: str) -> None:
    assert dollars_and_cents(micro) == want


def on_gpus(**changes: object) -> Plan:
    """Two models, one of which runs on GPU nodes as well."""
    models = {
        LLAMA: {"shares": {"bedrock": 80, "vllm": 20}, "fallback": ["deepinfra"], "volume": "900M"},
        SCOUT: {"shares": {"bedrock": 100}},
    }
    return build(models, {"vllm": {**HOSTS["vllm"], "gpus": {**NODES, **changes}}})


def test_gpu_nodes_are_a_sum_of_their_own_and_their_tokens_cost_nothing_more():
    plan = on_gpus()
    assert blended(plan.models[0]) == Blended(576_000, 576_000)
    assert plan.nodes == (Nodes("vllm", "g6e.12xlarge", "us-east-1", "onDemand", 1, 1, 10_000_000, "AWS"),)
    assert sums(plan) == Sums(
        tokens=Monthly(518_400_000, 518_400_000),
        nodes=Monthly(7_300_000_000, 7_300_000_000),
        unknown=(f"volume of {SCOUT}",),
    )


def test_nodes_that_follow_the_load_cost_between_the_least_and_the_most():
    prometheus = {"prometheus": {"url": "http://prometheus:9090"}}
    cluster = {"kubeconfig": "~/.kube/config", "context": "x", **prometheus}
    models = {LLAMA: {"shares": {"vllm": 100}, "volume": "1M"}}
    plan = build(models, {"vllm": {**HOSTS["vllm"], "gpus": NODES}}, cluster=cluster)
    assert sums(plan).nodes == Monthly(7_300_000_000, 4 * 7_300_000_000)


def test_an_hour_that_nobody_has_a_price_for_is_named():
    assert sums(on_gpus(capacityType="spot")).unknown == (f"volume of {SCOUT}", "g6e.12xlarge of vllm")
    assert sums(on_gpus(capacityType="spot")).nodes == Monthly(0, 0)


def test_nodes_are_worth_it_from_so_many_tokens_on():
    assert [*break_even(on_gpus())] == [
        BreakEven(LLAMA, "vllm", "bedrock", 10_138_888_889, 10_138_888_889),
        BreakEven(LLAMA, "vllm", "deepinfra", 18_250_000_000, 56_153_846_154),
    ]


@given(micro=st.integers(1, 10**9), least=st.integers(1, 20))
def test_at_the_break_even_tokens_cost_what_the_nodes_do_and_one_less_costs_less(micro: int, least: int):
    plan = on_gpus(min=least, max=20)
    (model, scout), (nodes,) = plan.models, plan.nodes
    priced = tuple(
        replace(each, price=Price(micro, micro, "x")) if each.host == "bedrock" else each for each in model.targets
    )
    plan = replace(plan, models=(replace(model, targets=priced), scout))
    even = next(each for each in break_even(plan) if each.against == "bedrock")
    month = nodes.least * 10_000_000 * 730
    assert even.least * micro >= month * 10**6 > (even.least - 1) * micro
