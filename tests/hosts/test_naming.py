from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from corral.hosts.naming import hashed, labels, physical


@pytest.mark.parametrize(
    ("words", "want"),
    [
        (("corral", "vllm"), "corral-vllm"),
        (("llama-3.3-70b",), "llama-3-3-70b-3026a7"),
        (("llama-3-3-70b",), "llama-3-3-70b-845810"),
        (("llama3",), "llama3"),
        (("8b",), "x-8b-405333"),
    ],
)
def test_a_name_keeps_what_it_can_and_says_by_its_hash_what_it_cannot(words: tuple[str, ...], want: str):
    assert physical(*words) == want


WORDS = st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", fullmatch=True), min_size=1, max_size=3)


@given(WORDS, st.sampled_from([63, 64, 100]))
@example(["0" * 128, "a" * 128], 63)
@example(["a" * 56 + "-b"], 63)
def test_a_name_is_a_dns_label_of_its_length(words: list[str], limit: int):
    for name in (physical(*words, limit=limit), hashed(*words, limit=limit)):
        assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name)
        assert len(name) <= limit


@given(WORDS, WORDS)
@example(["prod", "b-c"], ["prod-b", "c"])
@example(["corral", "vllm"], ["corral-vllm"])
@example(["ab"], ["a", "b"])
@example(["llama-3.3"], ["llama-3-3"])
@example(["Llama"], ["llama"])
@example(["llama-3.3-70b"], ["llama-3-3-70b-3026a7"])
@example(["llama-3.3-70b"], ["llama", "3", "3", "70b", "3026a7"])
@example(["a" * 128], ["a" * 127])
def test_two_things_never_get_one_name(one: list[str], other: list[str]):
    for named in (physical, hashed):
        assert (named(*one) == named(*other)) == (one == other)


def test_tags_are_labels_as_far_as_labels_hold_them():
    assert labels({"team": "Search & Ads", "long": "x" * 80}) == {"team": "Search---Ads", "long": "x" * 63}
