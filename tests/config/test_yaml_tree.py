"""How a scalar is read: as Pulumi reads it, or refused where Pulumi's reading would be a surprise."""

from __future__ import annotations

import pytest

from corral.config.problems import Problem, Report
from corral.config.yaml_tree import parse, value_of

NUMBER = "a number is written in plain digits, like 1000 or 0.72; for a text put it in quotes"


def read(text: str) -> tuple[object, tuple[Problem, ...]]:
    report = Report("file")
    node = parse(text)
    assert node
    return value_of(node, ("key",), report), report.problems()


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("60", 60), ("-1", -1), ("+7", 7), ("0", 0), ("0.72", 0.72), ("-0.5", -0.5),
        ("true", True), ("True", True), ("FALSE", False),
        ("null", None), ("~", None), ("Null", None), ("''", ""),
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("OFF", "OFF"), ("y", "y"), ("nUll", "nUll"), ("tRue", "tRue"),
        ("'60'", "60"), ('"true"', "true"), ("'~'", "~"), ("|\n 60\n", "60\n"),
        ("2026-07-06", "2026-07-06"), ("2026-07-06T00:00:00Z", "2026-07-06T00:00:00Z"), ("1:30", "1:30"),
        ("900M", "900M"), ("1.5B", "1.5B"), ("10.0.0.1", "10.0.0.1"), ("3.3.1", "3.3.1"), ("1e", "1e"), ("0x", "0x"),
        ("<<", "<<"), ("=", "="), ("60%", "60%"), (".", "."), ("+", "+"), ("_1", "_1"),
        ("0a1b", "0a1b"), ("0b12", "0b12"), ("0o8", "0o8"), ("0xg", "0xg"), ("12ab", "12ab"), ("1e2x", "1e2x"),
    ],
)  # fmt: skip
def test_a_scalar_is_read_as_pulumi_reads_it(text: str, want: object):
    value, problems = read(text)
    assert (value, type(value), problems) == (want, type(want), ())


@pytest.mark.parametrize(
    "text",
    ["1_000", "0777", "010", "08", "00", "0o17", "0x1F", "0b101", "-0x1f", "0_7", "1e3", "1E-3", ".5", "5.", "1.5e3",
     ".inf", "-.INF", ".NaN", "9" * 19, "9" * 5_000, "0." + "9" * 400, "1_0.5"],
)  # fmt: skip
def test_a_number_in_any_other_notation_is_refused(text: str):
    assert read(text) == (None, (Problem("file", 1, "key", NUMBER),))


def test_below_keys_every_scalar_is_the_text_that_is_written():
    node = parse("{groq: 0777, lab: ~, on: 2026-07-06}")
    assert node
    report = Report("file")
    assert value_of(node, ("corral:keys",), report, as_text=True) == {"groq": "0777", "lab": "~", "on": "2026-07-06"}
    assert report.problems() == ()
