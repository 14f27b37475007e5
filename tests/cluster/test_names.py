from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.cluster.names import labels, physical


@pytest.mark.parametrize(
    ("words", "want"),
    [
        (("corral", "vllm"), "corral-vllm"),
        (("llama-3.3-70b",), "llama-3-3-70b-3026a7"),
        (("llama-3-3-70b",), "llama-3-3-70b"),
        (("8b",), "x-8b-405333"),
    ],
)
def test_a_name_keeps_what_it_can_and_says_by_its_hash_what_it_cannot(words: tuple[str, ...], want: str):
    assert physical(*words) == want


WORDS = st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", fullmatch=True), min_size=1, max_size=3)


@given(WORDS, st.sampled_from([63, 64, 100]))
def test_a_name_is_a_dns_label_of_its_length(words: list[str], limit: int):
    name = physical(*words, limit=limit)
    assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name)
    assert len(name) <= limit


@given(WORDS, WORDS)
def test_two_things_have_two_names(one: list[str], other: list[str]):
    assert (physical(*one) == physical(*other)) == ("-".join(one) == "-".join(other))


def test_tags_are_labels_as_far_as_labels_hold_them():
    assert labels({"team": "Search & Ads", "long": "x" * 80}) == {"team": "Search---Ads", "long": "x" * 63}
