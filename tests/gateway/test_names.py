from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.gateway.manifests.cutover import route_name
from corral.gateway.names import duration, object_name, quantity


def test_a_name_says_what_it_is_of_and_is_no_name_that_was_chosen_by_hand():
    assert object_name("bedrock", "llama-3.3-70b") == "bedrock-llama-3-3-70b-dfb335"
    assert object_name("tenants") == "tenants-056e22"


def test_the_routes_of_a_model_begin_alike_and_are_labels():
    assert route_name("llama-3.3-70b", "5be30c4e") == "llama-3-3-70b-3026a7-5be30c4e"
    assert len(route_name("A" * 128, "5be30c4e")) == 63


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
