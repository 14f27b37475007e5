"""The report of a drill, and its progress, on the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from components.drill.record import Record, Span
from components.drill.report import Report
from components.drill.script import Skipped
from components.drill.sections import Figures, figures, sentences
from components.drill.wording import MOVES, SHARES, cut_short_text, reasons_text, said_text, skipped, verdict


def line(span: Span) -> str:
    """A step that has ended."""
    return f"{span.began:6.1f} s  {span.step.title}"


def progress(record: Record) -> RenderableType:
    """The steps so far and the one under way."""
    table = Table(box=None, pad_edge=False, show_header=False)
    ended = iter(record.spans)
    for step in record.script:
        if isinstance(step, Skipped):
            table.add_row("–", f"{step.title}: skipped, {step.why}", "", style="dim")
        elif (span := next(ended, None)) is not None:
            table.add_row(Text("✓", style="green"), step.title, f"{span.ended - span.began:.0f} s")
        else:
            current = step is record.current
            table.add_row("▸" if current else " ", step.title, "", style="bold" if current else "dim")
    lost = Text(f"{record.lost} lost", style="bold red" if record.lost else "green")
    counts = Text.assemble(
        f"\n{len(record.requests):,} requests, ", lost, f", {record.under_way} under way, {record.seconds:.0f} s"
    )
    return Group(table, counts)


def print_report(report: Report, out: Console) -> None:
    """Prints all of it."""
    style = "bold red" if report.problems else "bold green"
    out.print(Text.assemble((f"\n{report.stack}: ", "bold"), (verdict(report), style)))
    for problem in report.problems:
        out.print(f"  {problem}", style="red", markup=False, soft_wrap=True)
    if report.reasons:
        out.print(f"  lost: {reasons_text(report.reasons)}", style="red", markup=False, soft_wrap=True)
    if cut_short := cut_short_text(report):
        out.print(f"  {cut_short}", style="dim")
    for found in figures(report):
        _table(out, found)
    for listed in sentences(report):
        _lines(out, listed.title, listed.lines)
    _lines(out, "Skipped", [f"{step.title}: {step.skipped}" for step in skipped(report)])
    if report.problems:
        _lines(out, "What the engine said", map(said_text, report.said))


def _table(out: Console, found: Figures) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold", title=f"\n{found.title}", title_justify="left")
    for place, name in enumerate(found.columns):
        first_words = found.columns in (SHARES, MOVES) and place < 3
        table.add_column(name, justify="left" if place == 0 or first_words else "right")
    before = ""
    for row in found.rows:
        table.add_row("" if row[0] == before else row[0], *row[1:])
        before = row[0]
    out.print(table)


def _lines(out: Console, title: str, lines: Iterable[str]) -> None:
    listed = list(lines)
    if listed:
        out.print(f"\n{title}", style="italic")
        for each in listed:
            out.print(f"  {each}", markup=False, soft_wrap=True)
