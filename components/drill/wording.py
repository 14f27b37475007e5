"""How a report's figures are written, alike on the terminal and on the page."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from components.drill.report import (
    BrokenReport,
    FailureReport,
    LatencyReport,
    LimitReport,
    MoveReport,
    Report,
    ShareReport,
    StepReport,
)

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
