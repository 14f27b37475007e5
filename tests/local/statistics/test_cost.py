"""Prices, since when they are in force, and money added up."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from corral.local.statistics.cost import (
    DOLLAR,
    Spending,
    Tariff,
    Tariffs,
    UsageError,
    cost,
    read_tariffs,
    tariff,
    with_tariff,
)
from corral.local.statistics.readings import Series
from corral.plan.plan import Price
from tests.local.statistics.log_lines import log
from tests.plan.world import build

M = "llama-3.3-70b"
FIRST, SECOND, THIRD = (datetime(2026, 11, day, tzinfo=UTC) for day in (1, 8, 15))
CHEAP, DEAR = Price(100, 200, "stack"), Price(1_000, 2_000, "stack")


def test_a_tariff_has_the_prices_of_the_plan_that_are_known() -> None:
    plan = build({M: {"shares": {"bedrock": 60, "azure": 40}, "fallback": ["groq"]}})
    prices = {target.host: target.price for target in plan.models[0].targets if target.price}
    assert prices.keys() == {"bedrock", "azure"}
    assert tariff(plan, frozenset({"azure"}), FIRST) == Tariff(FIRST, {M: prices}, frozenset({"azure"}))
    assert tariff(plan).price(M, "groq") is None
    assert tariff(plan).price(None, None) is None


def test_a_tariff_is_in_force_from_its_moment_until_the_next() -> None:
    first, second = Tariff(SECOND, {M: {"bedrock": CHEAP}}), Tariff(THIRD, {M: {"bedrock": DEAR}})
    tariffs = Tariffs([second, first])
    assert [tariffs.at(moment) for moment in (FIRST, SECOND, THIRD)] == [None, first, second]
    assert Tariffs([]).at(FIRST) is None


def test_what_is_written_is_read_and_only_a_change_is_written(tmp_path: Path) -> None:
    folder = log(tmp_path)
    written: list[Tariff] = []
    for new in (
        Tariff(FIRST, {M: {"bedrock": CHEAP}}),
        Tariff(SECOND, {M: {"bedrock": CHEAP}}),
        Tariff(SECOND, {M: {"bedrock": DEAR}}),
        Tariff(THIRD, {M: {"bedrock": DEAR}}, frozenset({"bedrock"})),
    ):
        text = with_tariff(read_tariffs(folder), new)
        if text is not None:
            folder.prices.write_text(text)
            written.append(new)
    assert [each.since for each in written] == [FIRST, SECOND, THIRD]
    assert read_tariffs(folder) == written


def test_without_a_file_there_are_none_and_a_broken_one_is_told_with_the_way_out(tmp_path: Path) -> None:
    folder = log(tmp_path)
    assert read_tariffs(folder) == []
    folder.prices.write_text((with_tariff([], Tariff(FIRST, {})) or "") + "oops\n")
    with pytest.raises(UsageError) as broken:
        read_tariffs(folder)
    assert str(broken.value) == f"{folder.prices}:2 is not a list of prices: remove the line"


def test_the_cost_of_tokens_is_exact_and_unknown_without_a_price() -> None:
    assert cost(Price(590_000, 790_000, "stack"), 3, 1) == 3 * 590_000 + 790_000
    assert cost(None, 3, 1) is None


def charged(dollars_in: int, dollars_out: int) -> Tariff:
    return Tariff(FIRST, {"m": {"bedrock": Price(dollars_in * 10**6, dollars_out * 10**6, "stack")}})


def counted(prompt: int, answer: int, host: str = "bedrock") -> Counter[Series]:
    return Counter(
        {
            Series("input_tokens", "m", host, tenant="search"): prompt,
            Series("output_tokens", "m", host, tenant="search"): answer,
            Series("requests", "m", host, 200, "search"): 5,
        }
    )


def test_tokens_cost_what_is_charged_while_they_are_counted() -> None:
    spending = Spending()
    spending.charge(counted(1_000_000, 0), charged(1, 10))
    spending.charge(counted(1_000_000, 2_000_000), charged(1, 10))
    spending.charge(counted(3_000_000, 2_000_000), charged(5, 50))
    assert spending.cost == {("search", "m", "bedrock"): (1 + 2 * 10 + 2 * 5) * DOLLAR}
    assert spending.unpriced == {("search", "m", "bedrock"): 0}


def test_tokens_without_a_price_are_counted_apart() -> None:
    spending = Spending()
    spending.charge(counted(7, 3, "lab"), charged(1, 10))
    assert (spending.cost, spending.unpriced) == ({}, {("search", "m", "lab"): 10})


def test_tokens_that_a_host_had_kept_cost_what_it_charges_for_them() -> None:
    kept = Tariff(FIRST, {"m": {"bedrock": Price(10**6, 10**7, "stack", cached_input=10**5)}})
    readings = counted(3_000_000, 0) + Counter({Series("cached_tokens", "m", "bedrock", tenant="search"): 1_000_000})
    for prices, want in ((kept, 3 * DOLLAR - 9 * DOLLAR // 10), (charged(1, 10), 3 * DOLLAR), (Tariff(FIRST, {}), 0)):
        spending = Spending()
        spending.charge(readings, prices)
        assert (spending.cost.total(), spending.unpriced.total()) == (want, 0 if want else 3_000_000)


def test_one_token_is_not_rounded_away() -> None:
    spending = Spending()
    for number in range(1, 1_001):
        spending.charge(counted(number, 0), Tariff(FIRST, {"m": {"bedrock": Price(1, 1, "stack")}}))
    assert spending.cost == {("search", "m", "bedrock"): 1_000}


def test_a_price_that_changes_leaves_what_was_spent() -> None:
    spending = Spending()
    spending.charge(counted(1_000_000, 0), charged(1, 10))
    spending.charge(counted(1_000_000, 0), Tariff(SECOND, {}))
    assert spending.cost == {("search", "m", "bedrock"): DOLLAR}
