from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from components.drill.page import page
from components.drill.record import Record
from components.drill.report import report
from components.drill.sections import Figures, figures, sentences
from components.drill.svg import Scale, decades, element, text, ticks
from components.drill.terminal import print_report, progress
from tests.drill.recorded import alone, record, with_loss

STARTED = "2026-11-21T15:00:00+00:00"
RECORDS = {"whole": record(), "with a loss": with_loss(record()), "only begun": alone()}
VOID = {"meta", "rect", "line", "circle", "polyline", "polygon"}


class _Balanced(HTMLParser):
    """Fails at an element that is closed elsewhere than it was opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 (the base class's)
        self.seen.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.mark.parametrize("kept", RECORDS.values(), ids=RECORDS)
def test_the_page_is_whole_and_needs_nothing_else(kept: Record):
    made = page(report(kept, STARTED))
    parsed = _Balanced()
    parsed.feed(made)
    parsed.close()
    assert parsed.open == []
    assert "script" not in parsed.seen
    assert not re.search(r"(?i)@import|@font-face|url\(|src=|href=|https?://", made)
    assert "nan" not in re.findall(r"\w+", made.lower())


def test_what_a_page_shows_is_in_its_tables_too():
    made = page(report(record(), STARTED))
    assert made.count("<svg") == 4
    for said in ("azure 40→0, vllm 60→100", "drill-limited may have 60 requests a minute", "60.0%"):
        assert said in made


@pytest.mark.parametrize("kept", RECORDS.values(), ids=RECORDS)
def test_the_terminal_and_the_page_have_the_same_sections(kept: Record):
    found = report(kept, STARTED)
    parts = [*figures(found), *sentences(found)]
    assert len({part.title for part in parts}) == len(parts) == (0 if kept is RECORDS["only begun"] else 7)
    out = Console(width=300)
    with out.capture() as shown:
        print_report(found, out)
    lines = [line.strip() for line in shown.get().splitlines()]
    assert [line for line in lines if line in {part.title for part in parts}] == [part.title for part in parts]
    made = page(found)
    headings = re.findall("<h2>(.*?)</h2>", made)
    assert [title for title in headings if title in {part.title for part in parts}] == [part.title for part in parts]
    for part in parts:
        for said in part.rows[-1] if isinstance(part, Figures) else part.lines:
            assert said in shown.get()
            assert text(said) in made


def test_names_cannot_break_a_page():
    kept = record()
    evil = replace(kept.plan, stack='<script>"&')
    made = page(report(replace(kept, plan=evil), STARTED))
    assert "<script>" not in made
    assert "Drill of &lt;script&gt;&quot;&amp;" in made


@pytest.mark.parametrize(
    ("kept", "wanted"),
    [
        (record(), "prod: 140 requests, 140 of them streamed, 0 lost, in 14 s."),
        (with_loss(record()), "lost: 1 × HTTP 503 no_host_left"),
        (alone(), "in 0 s, ended early."),
    ],
)
def test_the_report_on_the_terminal_begins_with_its_verdict(kept: Record, wanted: str):
    out = Console(width=200)
    with out.capture() as shown:
        print_report(report(kept, STARTED), out)
    assert wanted in "\n".join(shown.get().splitlines()[:4])


def test_the_progress_names_every_step_and_what_was_lost_so_far():
    kept = with_loss(alone())
    out = Console(width=120)
    with out.capture() as shown:
        out.print(progress(kept))
    assert "✓ the gateway beside azure itself" in re.sub(" +", " ", shown.get())
    assert "1 requests, 1 lost, 0 under way" in shown.get()


def test_attributes_and_text_are_escaped():
    assert element("a", text("<&>"), class_='"', stroke_width=1.0) == (
        '<a class="&quot;" stroke-width="1">&lt;&amp;&gt;</a>'
    )


@given(st.floats(0.001, 1e6), st.integers(2, 12))
def test_ticks_are_few_and_reach_the_highest_value(high: float, most: int):
    found = ticks(high, most)
    assert found[0] == 0
    assert found[-1] >= high * (1 - 1e-6)
    assert 2 <= len(found) <= most + 2


@given(st.floats(0.001, 1e6), st.floats(1, 1e4))
def test_decades_hold_both_values(low: float, factor: float):
    found = decades(low, low * factor)
    assert found[0] <= low * (1 + 1e-9)
    assert found[-1] >= low * factor * (1 - 1e-9)
    assert len(found) > 1


@given(st.floats(-1e6, 1e6))
def test_a_scale_never_leaves_its_line(value: float):
    for scale in (Scale(1, 1000, 60, 950, logarithmic=True), Scale(0, 100, 190, 24)):
        low, high = sorted((scale.begin, scale.end))
        assert low <= scale(value) <= high
