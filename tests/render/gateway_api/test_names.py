from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.render.gateway_api.names import object_name
from components.render.gateway_api.units import duration, quantity

PARTS = st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", fullmatch=True), min_size=1, max_size=2)


@given(parts=PARTS)
@example(parts=["0" * 128, "a" * 128])
@example(parts=["a" * 52 + "-b"])
def test_a_name_is_one_that_kubernetes_takes_anywhere(parts: list[str]):
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", object_name(*parts))


@given(one=PARTS, other=PARTS)
@example(one=["a-b", "c"], other=["a", "b-c"])
@example(one=["llama-3.3"], other=["llama-3-3"])
@example(one=["Llama"], other=["llama"])
@example(one=["a" * 128], other=["a" * 127])
@example(one=["ab"], other=["a", "b"])
def test_two_things_never_get_one_name(one: list[str], other: list[str]):
    assert (object_name(*one) == object_name(*other)) == (one == other)


def test_a_name_says_what_it_is_of():
    assert object_name("bedrock", "llama-3.3-70b") == "bedrock-llama-3-3-70b-36ztklfd6v"


@pytest.mark.parametrize(
    ("milliseconds", "want"),
    [(0, "0s"), (500, "500ms"), (1_500, "1s500ms"), (120_000, "2m"), (5_430_000, "1h30m30s"), (10**9, "277h46m40s")],
)
def test_a_time_is_written_with_units(milliseconds: int, want: str):
    assert duration(milliseconds) == want


@given(milliseconds=st.integers(0, 99_999 * 3_600_000))
def test_a_time_is_one_that_the_gateway_api_takes(milliseconds: int):
    written = duration(milliseconds)
    assert re.fullmatch(r"([0-9]{1,5}(h|m|s|ms)){1,4}", written)
    units = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
    counts = re.findall(r"([0-9]+)(ms|h|m|s)", written)
    assert sum(int(count) * units[unit] for count, unit in counts) == milliseconds


@pytest.mark.parametrize(
    ("size", "want"), [(52_428_800, "50Mi"), (1, "1"), (2_048, "2Ki"), (2**30, "1Gi"), (1_500, "1500")]
)
def test_a_size_is_written_with_the_largest_unit_that_divides_it(size: int, want: str):
    assert quantity(size) == want
