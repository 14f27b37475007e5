"""What a viewer is told of a change, applied to what it has seen, is what there is."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.local.page.feed import difference
from tests.local.page.snapshots import applied

NAMES = st.text(max_size=3) | st.sampled_from(["a", "b", "__proto__", "constructor"])
LEAVES = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3)
STATES = st.recursive(
    st.dictionaries(NAMES, LEAVES, max_size=4), lambda inner: st.dictionaries(NAMES, LEAVES | inner, max_size=4)
)


@given(STATES, STATES)
def test_the_difference_applied_gives_the_state(before: dict[str, Any], after: dict[str, Any]):
    assert applied(before, difference(before, after)) == after


@given(STATES, STATES)
def test_the_same_is_no_difference_and_a_difference_is_json(before: dict[str, Any], after: dict[str, Any]):
    assert difference(before, before) == {}
    changes = difference(before, after)
    assert json.loads(json.dumps(changes)) == changes


@given(st.lists(STATES, min_size=1, max_size=6))
def test_whoever_is_sent_a_snapshot_and_all_that_follows_has_the_last_state(states: list[dict[str, Any]]):
    seen = states[0]
    for before, after in itertools.pairwise(states):
        seen = applied(seen, difference(before, after))
    assert seen == states[-1]


@pytest.mark.parametrize(
    ("before", "after", "want"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, {"b": 3}),
        ({"a": 1}, {}, {"a": None}),
        ({}, {"a": {}}, {"a": {}}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, {"a": {"c": None}}),
        ({"a": {"b": 1}}, {"a": 5}, {"a": 5}),
        ({"a": 5}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_a_difference_holds_what_changed_and_no_more(before: Any, after: Any, want: Any):
    assert difference(before, after) == want
