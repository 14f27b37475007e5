"""Counters over the lives of one Envoy, over the last seconds, and added up."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from corral.local.statistics.readings import Bin, Series, Timed
from corral.local.statistics.totals import Growing, Tally, Window, durations, tallies

A, B = "a", "b"


def test_an_envoy_that_was_started_again_counts_on() -> None:
    totals = Growing[str]()
    assert totals.accumulate({A: 3}, 1) == {A: 3}
    assert totals.accumulate({A: 5, B: 1}, 1) == {A: 5, B: 1}
    assert totals.accumulate({}, 2) == {A: 5, B: 1}
    assert totals.accumulate({A: 2}, 2) == {A: 7, B: 1}
    assert totals.accumulate({A: 6, B: 0}, 3) == {A: 13, B: 1}, "also where the new one counts further than the old"


LIVES = st.lists(st.lists(st.dictionaries(st.sampled_from([A, B]), st.integers(0, 100)), max_size=5), max_size=5)


@given(LIVES)
def test_no_counter_goes_backwards_and_all_that_was_seen_is_in_it(lives: list[list[dict[str, int]]]) -> None:
    totals = Growing[str]()
    before: dict[str, int] = {}
    last: list[dict[str, int]] = []
    for life, steps in enumerate(lives):
        counted: dict[str, int] = {}
        for more in steps:
            for name, number in more.items():
                counted[name] = counted.get(name, 0) + number
            now = totals.accumulate(dict(counted), life)
            assert all(now[name] >= number for name, number in before.items())
            before = now
        last.append(counted)
    assert before == {
        name: sum(counted.get(name, 0) for counted in last) for name in {name for counted in last for name in counted}
    }


def test_what_is_older_than_the_window_counts_no_more():
    window = Window[str](3)
    for second in range(6):
        window.add(second, second + 1, Counter({"a": 1, f"at {second}": 5}))
    assert (window.total, window.span) == (Counter({"a": 3, "at 3": 5, "at 4": 5, "at 5": 5}), 3)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(1, 9)), max_size=20), st.integers(1, 5))
def test_the_total_is_the_sum_of_the_last_steps(steps: list[dict[str, int]], seconds: int):
    window = Window[str](seconds)
    for second, step in enumerate(steps):
        window.add(second, second + 1, Counter(step))
    last = sum((Counter(step) for step in steps[-seconds:]), Counter[str]())
    assert dict(window.total) == dict(last)


def test_what_is_forgotten_is_not_taken_away_again():
    window = Window[str](2)
    window.add(0, 1, Counter({"moved": 4, "other": 1}))
    window.forget(lambda key: key == "moved")
    window.add(1, 2, Counter({"moved": 3}))
    window.add(2, 3, Counter({"moved": 2}))
    assert window.total == Counter({"moved": 5})


def test_an_empty_window_covers_nothing():
    assert (Window[str](5).span, Window[str](5).total) == (0.0, Counter())


def test_counters_are_added_up_by_what_one_asks_for():
    counters = {
        Series("requests", "m", "groq", 200): 5,
        Series("requests", "m", "groq", 404): 2,
        Series("requests", "m", "", 503): 1,
        Series("requests", "m", "", 0): 3,
        Series("attempts", "m", "groq", 200): 7,
        Series("attempts", "m", "groq", 429): 4,
        Series("input_tokens", "m", "groq"): 11,
        Series("output_tokens", "m", "groq"): 13,
        Series("limited", "m", limit="tokens"): 9,
    }
    groq = Tally(7, server_errors=0, client_errors=2, attempts=11, failed_attempts=4, input_tokens=11, output_tokens=13)
    assert tallies(counters, lambda series: series.host) == {
        "groq": groq,
        "": Tally(4, server_errors=4),
    }
    assert tallies(counters, lambda series: series.model)["m"].server_errors == 4


def test_answers_whose_tokens_nobody_told_are_uncounted():
    assert [Tally(3).uncounted, Tally(3, 2, 1).uncounted, Tally(3, output_tokens=1).uncounted] == [True, False, False]


def test_times_are_added_up_by_host_and_over_all_hosts():
    one, two = Bin(1, 0.1), Bin(50, 1)
    times = {
        Timed("duration", "m", "groq", one): 2,
        Timed("duration", "m", "lab", one): 1,
        Timed("duration", "m", "", two): 4,
    }
    assert durations(times) == {
        ("duration", "m", "groq"): Counter({one: 2}),
        ("duration", "m", "lab"): Counter({one: 1}),
        ("duration", "m", ""): Counter({one: 3, two: 4}),
    }
