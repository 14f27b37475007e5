from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.cluster.zones import Zone, places, zones


def test_a_vpc_is_divided_among_its_zones():
    assert zones("10.64.0.0/16", 3) == (
        Zone(private="10.64.0.0/20", public="10.64.240.0/24"),
        Zone(private="10.64.16.0/20", public="10.64.241.0/24"),
        Zone(private="10.64.32.0/20", public="10.64.242.0/24"),
    )


@given(prefix=st.integers(16, 20), count=st.integers(2, 6))
def test_subnets_lie_in_the_vpc_and_beside_each_other(prefix: int, count: int):
    vpc = IPv4Network(f"10.0.0.0/{prefix}")
    subnets = [IPv4Network(each) for zone in zones(str(vpc), count) for each in (zone.private, zone.public)]
    assert all(each.subnet_of(vpc) for each in subnets)
    assert not any(one.overlaps(other) for one in subnets for other in subnets if one is not other)


@given(count=st.integers(2, 5))
def test_a_zone_more_leaves_the_others_as_they_are(count: int):
    assert zones("10.64.0.0/16", count + 1)[:count] == zones("10.64.0.0/16", count)


@pytest.mark.parametrize(
    ("offered", "count", "want"),
    [
        ([], 3, "abc"),
        (["bde"], 3, "bde"),
        (["d"], 2, "ad"),
        (["abc", "abc", "e"], 3, "abe"),
        (["xyz"], 2, "ab"),
    ],
    ids=["no GPUs", "as many as offer the type", "one offers it", "each type has one", "no zone offers it"],
)
def test_zones_are_chosen_so_that_each_instance_type_is_offered_in_one(offered: list[str], count: int, want: str):
    assert places("edcba", offered, count) == [*want]
