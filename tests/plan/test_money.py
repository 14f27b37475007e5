from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.plan.money import Blended, Monthly, Unpriced, blended, dollars, dollars_and_cents, monthly, nearest
from corral.plan.plan import ModelPlan, Price
from tests.plan.world import model


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
