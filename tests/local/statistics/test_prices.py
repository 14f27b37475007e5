"""Prices, and since when they are in force."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from corral.local.statistics import prices
from corral.local.statistics.prices import Tariff, Tariffs, UsageError, tariff, with_tariff
from corral.plan.plan import Price
from tests.local.statistics.log_lines import log
from tests.plan.world import build

M = "llama-3.3-70b"
FIRST, SECOND, THIRD = (datetime(2026, 11, day, tzinfo=UTC) for day in (1, 8, 15))
CHEAP, DEAR = Price(100, 200, "stack"), Price(1_000, 2_000, "stack")


def test_a_tariff_has_the_prices_of_the_plan_that_are_known() -> None:
    plan = build({M: {"shares": {"bedrock": 60, "azure": 40}, "fallback": ["groq"]}})
    known = {target.host: target.price for target in plan.models[0].targets if target.price}
    assert known.keys() == {"bedrock", "azure"}
    assert tariff(plan, frozenset({"azure"}), FIRST) == Tariff(FIRST, {M: known}, frozenset({"azure"}))
    assert tariff(plan).price(M, "groq") is None
    assert tariff(plan).price(None, None) is None


def test_a_tariff_is_in_force_from_its_moment_until_the_next() -> None:
    first, second = Tariff(SECOND, {M: {"bedrock": CHEAP}}), Tariff(THIRD, {M: {"bedrock": DEAR}})
    known = Tariffs([second, first])
    assert [known.at(moment) for moment in (FIRST, SECOND, THIRD)] == [None, first, second]
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
        text = with_tariff(prices.read(folder), new)
        if text is not None:
            folder.prices.write_text(text)
            written.append(new)
    assert [each.since for each in written] == [FIRST, SECOND, THIRD]
    assert prices.read(folder) == written


def test_without_a_file_there_are_none_and_a_broken_one_is_told_with_the_way_out(tmp_path: Path) -> None:
    folder = log(tmp_path)
    assert prices.read(folder) == []
    folder.prices.write_text((with_tariff([], Tariff(FIRST, {})) or "") + "oops\n")
    with pytest.raises(UsageError) as broken:
        prices.read(folder)
    assert str(broken.value) == f"{folder.prices}:2 is not a list of prices: remove the line"
