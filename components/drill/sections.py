"""What follows the verdict of a report, section by section, alike on the terminal and on the page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from components.drill.report import Report
from components.drill.wording import (
    FAILURES,
    LATENCY,
    MOVES,
    SHARES,
    Row,
    broken_text,
    failure_row,
    latency_row,
    limit_text,
    move_row,
    share_row,
)


@dataclass(frozen=True)
class Figures:
    """A table."""

    title: str
    columns: Row
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Sentences:
    """A list."""

    title: str
    lines: tuple[str, ...]


def figures(report: Report) -> Iterator[Figures]:
    """Tables that have rows."""
    for found in (
        Figures("What the gateway adds", LATENCY, tuple(map(latency_row, report.latency))),
        Figures("Moves: time from the save", MOVES, tuple(map(move_row, report.moves))),
        Figures("Failures", FAILURES, tuple(map(failure_row, report.failures))),
        Figures(
            "Shares at the hosts, with bounds at a confidence of 99.9 %", SHARES, tuple(map(share_row, report.shares))
        ),
    ):
        if found.rows:
            yield found


def sentences(report: Report) -> Iterator[Sentences]:
    """Lists that have lines."""
    for found in (
        Sentences("Limits", (limit_text(report.limit),) if report.limit else ()),
        Sentences("Files that must be refused", tuple(map(broken_text, report.broken))),
        Sentences("The copy of the stack differs", report.differences),
    ):
        if found.lines:
            yield found
