"""The lock file of prices: what is written is read again, and what is wrong is said with its place."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from corral.catalog.load import load_catalog
from corral.catalog.prices import HourPrice, PriceList, Released, TokenPrice
from corral.config.prices import FILE, read_prices, written
from corral.config.problems import ConfigError

TODAY = date(2026, 11, 30)


def test_what_is_written_is_read_again(tmp_path: Path):
    whole = Released(load_catalog(), TODAY).whole({("bedrock", "meta.llama3-3-70b-instruct-v1:0"), ("lab", "x")})
    (tmp_path / FILE).write_text(written(whole))
    assert read_prices(tmp_path) == whole
    assert whole.token("bedrock", "meta.llama3-3-70b-instruct-v1:0")
    assert whole.token("lab", "x") is None


def test_names_and_sources_of_any_form_are_read_again(tmp_path: Path):
    seen = {"as_of": TODAY, "review_by": TODAY}
    price = TokenPrice.model_validate(
        {"input": 0.035, "output": 1, "cached_input": 0, "source": 'a "contract": 2026 # 7', **seen}
    )
    hour = HourPrice.model_validate({"spot": 3, "reserved": 1.5, "source": "yes", **seen})
    odd = PriceList(tokens={"on": {"3.1": price, "a: b": price, "é": price}}, hours={"anywhere": {"dgx": hour}})
    (tmp_path / FILE).write_text(written(odd))
    assert read_prices(tmp_path) == odd


def test_where_there_is_no_file_there_are_no_prices(tmp_path: Path):
    assert read_prices(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("tokens: {a: {b: {input: 1}}}", "tokens.a.b.output: is missing"),
        ("tokens: {a: {b: {inputs: 1}}}", "tokens.a.b.inputs: no such key: did you mean input?"),
        (
            "hours: {r: {i: {spot: cheap, source: x, asOf: 2026-11-30, reviewBy: soon}}}",
            'hours.r.i.spot: "cheap" is not a',
        ),
        ("token: {}", "token: no such key: did you mean tokens?"),
        ("tokens: [", "a bracket"),
        ("- x", "must be a mapping with `tokens` and `hours`"),
    ],
)
def test_what_is_wrong_is_said_with_its_file_and_line(text: str, want: str, tmp_path: Path):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_prices(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path / FILE}:")
    assert want in str(refused.value)
