from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.local.drill.measure import effective, shares
from corral.local.drill.record import Arrival


def arrivals(hosts: str, every: float = 0.1) -> list[Arrival]:
    """One arrival every so often, each at a host of one letter."""
    return [Arrival(number * every, host, "m", 200) for number, host in enumerate(hosts)]


@pytest.mark.parametrize(
    ("hosts", "before", "after", "want"),
    [
        ("abaabb" + "bbbbbbbb", {"a": 50, "b": 50}, {"a": 0, "b": 100}, (0.4, 0.4, 0.6, 0.3)),
        ("aaaaaaaa" + "bab", {"a": 100, "b": 0}, {"a": 50, "b": 50}, (0.8, 0.6, 0.8, None)),
        ("bbbb", {"a": 100, "b": 0}, {"a": 0, "b": 100}, (0.0, 0.0, 0.0, 0.0)),
        ("aaaa", {"a": 100, "b": 0}, {"a": 0, "b": 100}, None),
        ("", {"a": 100, "b": 0}, {"a": 0, "b": 100}, None),
    ],
)
def test_a_drained_host_s_last_request_and_a_new_host_s_first_one_tell_when_a_move_was_effective(
    hosts: str, before: dict[str, int], after: dict[str, int], want: tuple[float, float, float, float | None] | None
):
    found = effective(arrivals(hosts), 0, before, after)
    if want is None:
        assert found is None
    else:
        assert found
        told = (found.after, found.earliest, found.latest, found.last_of_old)
        assert told == pytest.approx(want) if want[3] is not None else told[:3] == pytest.approx(want[:3])


def test_arrivals_before_the_save_do_not_count():
    found = effective(arrivals("bbbbaaaabbbb"), 0.35, {"a": 100, "b": 0}, {"a": 0, "b": 100})
    assert found
    assert (found.after, found.earliest, found.latest, found.last_of_old) == pytest.approx((0.45, 0.45, 0.45, 0.35))


@pytest.mark.parametrize("seed", range(20))
def test_a_swap_is_found_where_it_is_or_nearly(seed: int):
    rng = random.Random(seed)
    place, before, after = rng.randrange(120), {"a": 80, "b": 20}, {"a": 20, "b": 80}
    hosts = [rng.choices("ab", [*(before if number < place else after).values()])[0] for number in range(200)]
    found = effective(arrivals("".join(hosts)), 0, before, after)
    assert found
    assert found.earliest <= found.after <= found.latest
    assert abs(found.after / 0.1 - place) < 10


def test_observed_shares_have_their_error_and_their_bounds():
    found = shares({"a": 70, "b": 30, "elsewhere": 0}, {"a": 60, "b": 40, "c": 0})
    assert {host: (each.declared, each.observed, each.error, each.holds) for host, each in found.items()} == {
        "a": (60, 70.0, 10.0, True),
        "b": (40, 30.0, -10.0, True),
        "c": (0, 0.0, 0.0, True),
    }
    assert (round(found["a"].low, 1), round(found["a"].high, 1)) == (53.6, 82.5)


def test_nothing_observed_is_no_share():
    assert shares({}, {"a": 100}) == {}


@given(st.integers(0, 5_000), st.integers(0, 5_000), st.integers(0, 100))
def test_bounds_hold_what_was_observed_and_are_percentages(one: int, other: int, declared: int):
    for share in shares({"a": one, "b": other}, {"a": declared, "b": 100 - declared}).values():
        assert 0 <= share.low <= share.observed <= share.high <= 100
        assert share.holds == (share.low <= share.declared <= share.high)


def test_a_true_share_is_nearly_always_within_the_bounds():
    rng = random.Random(7)
    held = [
        shares({"a": (hits := sum(rng.random() < 0.3 for _ in range(200))), "b": 200 - hits}, {"a": 30})["a"].holds
        for _ in range(1_000)
    ]
    assert sum(held) > 990
