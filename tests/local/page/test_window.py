"""Sums over the last seconds."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from corral.local.statistics.tally import Window


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
