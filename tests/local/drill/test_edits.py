from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.local.drill.script import drained, swapped


@pytest.mark.parametrize(
    ("shares", "swap", "drain"),
    [
        ({"a": 100}, {"a": 100}, {"a": 100}),
        ({"a": 50, "b": 30, "c": 20}, {"a": 20, "b": 30, "c": 50}, {"a": 0, "b": 60, "c": 40}),
        ({"a": 50, "b": 50}, {"a": 75, "b": 25}, {"a": 0, "b": 100}),
        ({"a": 34, "b": 33, "c": 33}, {"a": 33, "b": 33, "c": 34}, {"a": 0, "b": 50, "c": 50}),
        ({"a": 97, "b": 2, "c": 1}, {"a": 1, "b": 2, "c": 97}, {"a": 0, "b": 67, "c": 33}),
        ({"a": 99, "b": 1, "c": 0}, {"a": 1, "b": 99, "c": 0}, {"a": 0, "b": 100, "c": 0}),
    ],
)
def test_the_edits_of_a_model(shares: dict[str, int], swap: dict[str, int], drain: dict[str, int]):
    assert (swapped(shares), drained(shares)) == (swap, drain)


@st.composite
def _shares(draw: st.DrawFn) -> dict[str, int]:
    cuts = sorted(draw(st.lists(st.integers(0, 100), max_size=7)))
    bounds = [0, *cuts, 100]
    sizes = [after - before for before, after in pairwise(bounds)]
    return {f"host-{number}": size for number, size in enumerate(sizes)}


@given(_shares())
def test_shares_stay_whole_and_together_100_and_hosts_without_one_get_none(shares: dict[str, int]):
    for edit in (swapped, drained):
        new = edit(shares)
        assert new.keys() == shares.keys()
        assert sum(new.values()) == 100
        assert all(0 <= share <= 100 for share in new.values())
        assert not [host for host, share in new.items() if share and not shares[host]]


@given(_shares())
def test_an_edit_of_several_sharing_hosts_changes_something_and_draining_empties_the_largest(shares: dict[str, int]):
    if sum(map(bool, shares.values())) > 1:
        assert swapped(shares) != shares
        largest = min(shares, key=lambda host: (-shares[host], host))
        assert drained(shares)[largest] == 0
        assert all(share for host, share in drained(shares).items() if shares[host] and host != largest)
