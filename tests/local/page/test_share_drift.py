"""When an observed share has drifted, and when it is chance."""

from __future__ import annotations

import random

import pytest

from corral.local.page.state import share_drift


@pytest.mark.parametrize(
    ("declared", "answered", "requests", "want"),
    [
        (60, 29, 29, None),  # too few to say anything
        (60, 70, 100, None),
        (60, 100, 100, 40),
        (60, 0, 100, -60),
        (0, 3, 100, 3),
        (0, 0, 100, None),
        (100, 99, 100, None),
        (50, 5_100, 10_000, None),
        (50, 5_400, 10_000, 4),
    ],
)
def test_a_share_drifts_by_more_than_chance(declared: int, answered: int, requests: int, want: float | None):
    assert share_drift(declared, answered, requests) == (want if want is None else pytest.approx(want))


def test_hosts_drawn_by_weight_are_as_declared():
    draw = random.Random(7)
    for declared in (1, 5, 20, 50, 85, 99):
        for requests in (30, 100, 400):
            answered = sum(draw.random() * 100 < declared for _ in range(requests))
            assert share_drift(declared, answered, requests) is None
