"""Quantiles of bins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.local.statistics.readings import Span, quantile

ROUNDING = 1e-6
BINS = st.dictionaries(st.integers(0, 50).map(lambda n: Span(n * 10.0, 10.0)), st.integers(1, 100), min_size=1)


@pytest.mark.parametrize(
    ("bins", "part", "want"),
    [
        ({}, 0.5, None),
        ({Span(10, 1): 0}, 0.5, None),
        ({Span(10, 1): 4}, 0.5, 10.5),
        ({Span(10, 1): 1, Span(20, 2): 1}, 0.5, 11),
        ({Span(20, 2): 1, Span(10, 1): 99}, 0.99, 11),
        ({Span(20, 2): 2, Span(10, 1): 98}, 0.99, 21),
    ],
)
def test_values_are_spread_evenly_within_a_bin(bins: dict[Span, int], part: float, want: float | None):
    assert quantile(bins, part) == (want if want is None else pytest.approx(want))


@given(BINS, st.floats(0.01, 1))
def test_a_quantile_lies_where_values_are_and_grows_with_its_part(bins: dict[Span, int], part: float):
    value = quantile(bins, part)
    assert value is not None
    assert any(span.lower - ROUNDING <= value <= span.lower + span.width + ROUNDING for span in bins)
    assert value <= (quantile(bins, 1) or 0) + ROUNDING
