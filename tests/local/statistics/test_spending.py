"""Money, as tokens are counted."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from corral.local.statistics.prices import Tariff
from corral.local.statistics.prometheus import DOLLAR, Spending
from corral.plan.plan import Price

AT = datetime(2026, 11, 21, tzinfo=UTC)


def tariff(dollars_in: int, dollars_out: int) -> Tariff:
    return Tariff(AT, {"m": {"bedrock": Price(dollars_in * 10**6, dollars_out * 10**6, "stack")}})


def counted(prompt: int, answer: int, host: str = "bedrock") -> Counter[tuple[str, str, str, str]]:
    return Counter({("search", "m", host, "input"): prompt, ("search", "m", host, "output"): answer})


def test_tokens_cost_what_is_charged_while_they_are_counted() -> None:
    spending = Spending()
    spending.look(counted(1_000_000, 0), tariff(1, 10))
    spending.look(counted(1_000_000, 2_000_000), tariff(1, 10))
    spending.look(counted(3_000_000, 2_000_000), tariff(5, 50))
    assert spending.cost == {("search", "m", "bedrock"): (1 + 2 * 10 + 2 * 5) * DOLLAR}
    assert spending.unpriced == {("search", "m", "bedrock"): 0}


def test_tokens_without_a_price_are_counted_apart() -> None:
    spending = Spending()
    spending.look(counted(7, 3, "lab"), tariff(1, 10))
    assert (spending.cost, spending.unpriced) == ({}, {("search", "m", "lab"): 10})


def test_one_token_is_not_rounded_away() -> None:
    spending = Spending()
    for number in range(1, 1_001):
        spending.look(counted(number, 0), Tariff(AT, {"m": {"bedrock": Price(1, 1, "stack")}}))
    assert spending.cost == {("search", "m", "bedrock"): 1_000}
