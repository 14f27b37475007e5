"""Counters over the lives of one Envoy."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from corral.local.statistics.samples import Numbers, Sample, Totals

A, B = Sample("a", ()), Sample("b", ())


def test_an_envoy_that_was_started_again_counts_on() -> None:
    totals = Totals()
    assert totals.look({A: 3}, 1) == {A: 3}
    assert totals.look({A: 5, B: 1}, 1) == {A: 5, B: 1}
    assert totals.look({}, 2) == {A: 5, B: 1}
    assert totals.look({A: 2}, 2) == {A: 7, B: 1}
    assert totals.look({A: 6}, 3) == {A: 13, B: 1}, "also where the new one has counted further than the old one"


LIVES = st.lists(st.lists(st.dictionaries(st.sampled_from([A, B]), st.integers(0, 100)), max_size=5), max_size=5)


@given(LIVES)
def test_no_counter_goes_backwards_and_all_that_was_seen_is_in_it(lives: list[list[Numbers]]) -> None:
    totals = Totals()
    known: Numbers = {}
    last: list[Numbers] = []
    for life, steps in enumerate(lives):
        counted: Numbers = {}
        for more in steps:
            for sample, number in more.items():
                counted[sample] = counted.get(sample, 0) + number
            now = totals.look(dict(counted), life)
            assert all(now[sample] >= number for sample, number in known.items())
            known = now
        last.append(counted)
    assert known == {
        sample: sum(counted.get(sample, 0) for counted in last)
        for sample in {sample for counted in last for sample in counted}
    }
