"""Names and values in messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.config.problems import correction, flow, listed, named, nearest, shown

HOSTS = ["azure", "bedrock", "vllm"]


@pytest.mark.parametrize(
    ("name", "valid", "want"),
    [
        ("bedrok", HOSTS, "bedrock"), ("vlm", HOSTS, "vllm"), ("BEDROCK", HOSTS, "bedrock"), ("lambda", HOSTS, None),
        ("key_variable", ["keyVariable", "kind"], "keyVariable"), ("", HOSTS, None), ("x" * 10_000, HOSTS, None),
        ("bedrock", [], None), ("prod", ["PROD", "prod-eu"], "PROD"),
    ],
)  # fmt: skip
def test_the_nearest_name_is_the_one_that_was_probably_meant(name: str, valid: list[str], want: str | None):
    assert nearest(name, valid) == want


@pytest.mark.parametrize(
    ("name", "valid", "want"),
    [
        ("vlm", HOSTS, ": did you mean vllm? Valid are azure, bedrock, vllm"),
        ("lambda", HOSTS, ": valid are azure, bedrock, vllm"),
        ("vlm", ["vllm"], ": did you mean vllm?"),
        ("lambda", ["vllm"], ": valid is vllm"),
        ("lambda", [], ""),
        ("host-77", [f"host-{number}" for number in range(50)], ": did you mean host-7?"),
        ("lambda", [f"host-{number}" for number in range(50)], ""),
        ("a\nbd", ["a\nbc"], ': did you mean "a\\nbc"?'),
    ],
)
def test_a_correction_names_the_nearest_and_the_rest_where_they_are_few(name: str, valid: list[str], want: str):
    assert correction(name, valid) == want


def test_a_list_reads_like_a_sentence():
    assert [listed(HOSTS[:count]) for count in (1, 2, 3)] == ["azure", "azure or bedrock", "azure, bedrock or vllm"]
    assert listed(HOSTS, "and") == "azure, bedrock and vllm"


@pytest.mark.parametrize(
    ("value", "want"),
    [
        ("60", '"60"'), (True, "true"), (60, "60"), (33.3, "33.3"), (None, "nothing"), ([1], "a list"),
        ({"a": 1}, "a mapping"), (10**18, "a huge number"), ("größe", '"größe"'),
        ("a\n\x1b[31m", '"a\\n\\u001b[31m"'),
        ("x" * 50, f'"{"x" * 39}…"'), (object(), "something else"),
    ],
)  # fmt: skip
def test_a_value_is_shown_short(value: object, want: str):
    assert shown(value) == want


def test_an_example_is_shown_as_one_would_type_it():
    assert (
        flow({"shares": {"bedrock": 60}, "fallback": ["lab", "azure"]})
        == "{shares: {bedrock: 60}, fallback: [lab, azure]}"
    )


@given(st.text())
def test_a_name_is_always_printable(name: str):
    assert named(name).isprintable()
    assert len(named(name)) <= 300
