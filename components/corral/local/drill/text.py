"""The report of a drill, and its progress, on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from corral.local.drill.record import Record, Refused, Span
from corral.local.drill.report import FailureReport, LimitReport, MoveReport, Report, ShareReport
from corral.local.drill.script import Skipped

_UNKNOWN = "–"


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
        out.print(f"  {problem}", style="red", soft_wrap=True)
    if report.reasons:
        out.print(f"  lost: {reasons_text(report.reasons)}", style="red", soft_wrap=True)
    if report.cut_short:
        out.print(f"  {report.cut_short} requests were under way at the end and are not counted.", style="dim")
    _table(out, "Moves: time from the save", MOVES, map(move_row, report.moves), names=3)
    _table(out, "Failures", FAILURES, map(failure_row, report.failures), names=1)
    title = "Shares at the hosts, with bounds at a confidence of 99.9 %"
    _table(out, title, SHARES, map(share_row, report.shares), names=3)
    _lines(out, "Limits", [limit_text(report.limit)] if report.limit else [])
    _lines(out, "Files that must be refused", map(broken_text, report.broken))
    _lines(out, "The copy of the stack differs", report.differences)
    _lines(out, "Skipped", (f"{step.title}: {step.skipped}" for step in report.steps if step.skipped is not None))
    if report.problems:
        _lines(out, "What the engine said", (f"{at:6.1f} s  {' '.join(text.split())}" for at, text in report.notices))


def verdict(report: Report) -> str:
    """The outcome in a sentence."""
    requests = f"{report.requests:,} requests, {report.streamed:,} of them streamed, {report.lost} lost"
    return f"{requests}, in {report.seconds:.0f} s{', ended early' if report.ended_early else ''}."


def reasons_text(reasons: Mapping[str, int]) -> str:
    """The reasons of losses, the most frequent first."""
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number} × {why}" for why, number in ordered)


def milliseconds(value: float | None) -> str:
    """Three figures are enough; below 10 ms one after the point."""
    if value is None:
        return _UNKNOWN
    return f"{value:.1f} ms" if abs(value) < 10 else f"{value:,.0f} ms"


MOVES = ("MOVE", "MODEL", "SHARES", "IN FORCE", "FIRST OF THE NEW", "NOT BEFORE", "NOT AFTER", "LAST OF THE OLD")


def move_row(move: MoveReport) -> tuple[str, ...]:
    """A row of MOVES."""
    shares = ", ".join(
        f"{host} {before}→{after}" if (before := move.before.get(host, 0)) != after else f"{host} {after}"
        for host, after in move.after.items()
    )
    seen = move.effective
    times = (seen.after, seen.earliest, seen.latest, seen.last_of_old) if seen else (None,) * 4
    columns = [milliseconds(None if time is None else 1000 * time) for time in times]
    return (move.title, move.model, shares, milliseconds(move.in_force), *columns)


FAILURES = (
    "FAILURE",
    "REQUESTS MET IT",
    "FAILED OVER IN",
    "USUAL WAIT",
    "LONGEST WAIT",
    "LEFT OUT AFTER",
    "BACK AFTER",
)


def failure_row(failure: FailureReport) -> tuple[str, ...]:
    """A row of FAILURES."""
    times = (failure.first_answer, failure.usual, failure.slowest, failure.ejected, failure.back)
    return (failure.title, str(failure.met), *map(milliseconds, times))


SHARES = ("WHILE", "MODEL", "HOST", "REQUESTS", "DECLARED", "OBSERVED", "ERROR", "BOUNDS")


def share_row(share: ShareReport) -> tuple[str, ...]:
    """A row of SHARES."""
    return (
        share.title,
        share.model,
        share.host,
        str(share.requests),
        f"{share.declared}%",
        f"{share.observed:.1f}%",
        f"{share.error:+.1f}",
        f"{share.low:.1f} to {share.high:.1f}%{'' if share.holds else ' outside'}",
    )


def limit_text(limit: LimitReport) -> str:
    """The ends of the requests beyond a limit, and of the others'."""
    ends = [
        f"{limit.answered} answered",
        f"{limit.refused} refused with 429 ({limit.with_retry_after} of them with Retry-After)",
        *(f"{number} × {end}" for end, number in limit.otherwise.items()),
    ]
    return (
        f"{limit.tenant} may have {limit.allowed:,} {limit.limit} a minute: {', '.join(ends)}. "
        f"Meanwhile the others asked {limit.others:,} times, and lost {limit.others_lost}."
    )


def broken_text(file: Refused) -> str:
    """The outcome of saving a file that must be refused."""
    outcome = "nothing changed" if file.unchanged else "THE PLAN CHANGED"
    return f"{file.title}: {outcome}. It said: {' '.join((file.message or 'nothing').split())}"


def _table(out: Console, title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]], *, names: int) -> None:
    """Prints a table that has rows; its first columns are names, the others figures."""
    table = Table(box=None, pad_edge=False, header_style="bold", title=f"\n{title}", title_justify="left")
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place < names else "right")
    before = ""
    for first, *others in rows:
        table.add_row("" if first == before else first, *others)
        before = first
    if table.row_count:
        out.print(table)


def _lines(out: Console, title: str, lines: Iterable[str]) -> None:
    listed = list(lines)
    if listed:
        out.print(f"\n{title}", style="italic")
        for text in listed:
            out.print(f"  {text}", soft_wrap=True)
