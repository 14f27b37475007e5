"""How a report's figures are written, alike on the terminal and on the page.

What follows the verdict of a report, section by section, alike on the terminal and on the page.

A report as JSON.  Keys as everywhere in camelCase; names of hosts and models stay what they are.

The report of a drill, and its progress, on the terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from itertools import chain
from typing import Any, cast

from pydantic.alias_generators import to_camel
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from corral.local.drill.record import Record, Span
from corral.local.drill.report import (
    BrokenReport,
    FailureReport,
    LatencyReport,
    LimitReport,
    MoveReport,
    Report,
    ShareReport,
    StepReport,
)
from corral.local.drill.script import Skipped

UNKNOWN = "–"

Row = tuple[str, ...]


def milliseconds(value: float | None) -> str:
    """Three figures are enough; below 10 ms one after the point."""
    if value is None:
        return UNKNOWN
    return f"{value:.1f} ms" if abs(value) < 10 else f"{value:,.0f} ms"


def verdict(report: Report) -> str:
    """The outcome in a sentence."""
    asked = f"{report.requests:,} requests, {report.streamed:,} of them streamed, {report.lost} lost"
    when = f"in {report.seconds:.0f} s"
    return f"{asked}, {when}{', ended early' if report.ended_early else ''}."


def cut_short_text(report: Report) -> str:
    """What became of the requests that the end of the drill met; empty: there were none."""
    number = report.cut_short
    return f"{number} requests were under way at the end and are not counted." if number else ""


LATENCY = ("ANSWER", "PAIRS", "DIRECT P50", "P99", "THROUGH P50", "P99", "ADDED P50", "P99")


def latency_row(latency: LatencyReport) -> Row:
    times = chain(latency.direct, latency.through, latency.added)
    return (latency.what, str(latency.pairs), *map(milliseconds, times))


MOVES = ("MOVE", "MODEL", "SHARES", "IN FORCE", "FIRST OF THE NEW", "NOT BEFORE", "NOT AFTER", "LAST OF THE OLD")


def move_row(move: MoveReport) -> Row:
    shares = ", ".join(_moved(host, move.before.get(host, 0), share) for host, share in move.after.items())
    seen = move.effective
    times = (seen.after, seen.earliest, seen.latest, seen.last_of_old) if seen else (None,) * 4
    told = [milliseconds(None if each is None else 1000 * each) for each in times]
    return (move.title, move.model, shares, milliseconds(move.in_force), *told)


def _moved(host: str, before: int, after: int) -> str:
    return f"{host} {before}→{after}" if before != after else f"{host} {after}"


FAILURES = (
    "FAILURE",
    "REQUESTS MET IT",
    "FAILED OVER IN",
    "USUAL WAIT",
    "LONGEST WAIT",
    "LEFT OUT AFTER",
    "BACK AFTER",
)


def failure_row(failure: FailureReport) -> Row:
    times = (failure.first_answer, failure.usual, failure.slowest, failure.left_out, failure.back)
    return (failure.title, str(failure.met), *map(milliseconds, times))


SHARES = ("WHILE", "MODEL", "HOST", "REQUESTS", "DECLARED", "OBSERVED", "ERROR", "BOUNDS")


def share_row(of_host: ShareReport) -> Row:
    share = of_host.share
    outside = "" if share.holds else " outside"
    return (
        *(of_host.title, of_host.model, of_host.host, str(share.requests), f"{share.declared}%"),
        *(f"{share.observed:.1f}%", f"{share.error:+.1f}", f"{share.low:.1f} to {share.high:.1f}%{outside}"),
    )


def limit_text(limit: LimitReport) -> str:
    """What became of the tenant that asked for too much, and of the others."""
    refused = f"{limit.refused} refused with 429 ({limit.with_retry_after} of them with Retry-After)"
    ends = [f"{limit.answered} answered", refused]
    ends += [f"{number} × {end}" for end, number in limit.otherwise.items()]
    return (
        f"{limit.tenant} may have {limit.allowed:,} {limit.limit} a minute: {', '.join(ends)}. "
        f"Meanwhile the others asked {limit.others:,} times, and lost {limit.others_lost}."
    )


def broken_text(file: BrokenReport) -> str:
    """What became of a file that must be refused."""
    outcome = "nothing changed" if file.unchanged else "THE PLAN CHANGED"
    return f"{file.title}: {outcome}. It said: {' '.join((file.told or 'nothing').split())}"


def skipped(report: Report) -> list[StepReport]:
    """The steps that the stack left no room for."""
    return [step for step in report.steps if step.skipped is not None]


def reasons_text(reasons: Mapping[str, int]) -> str:
    """Why requests were lost, the most frequent first."""
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number} × {why}" for why, number in ordered)


def said_text(said: tuple[float, str]) -> str:
    """When the engine said something, and what."""
    at, text = said
    return f"{at:6.1f} s  {' '.join(text.split())}"


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


Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None


def to_json(report: Report) -> dict[str, Json]:
    """All of the report."""
    return {to_camel(field.name): _value(getattr(report, field.name)) for field in fields(report)}


def _value(value: Any) -> Json:
    if is_dataclass(value):
        return {to_camel(field.name): _value(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {name: _value(each) for name, each in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, tuple):
        return [_value(each) for each in cast("tuple[Any, ...]", value)]
    return value


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
