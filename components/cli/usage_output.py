"""What `corral usage` found, as a table, as JSON, as CSV."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from components.plan.money import dollars, dollars_and_cents
from components.usage.sums import Dimension, Group, Sums, total
from components.usage.window import Window

_NONE = "–"
_CENT = 10_000


@dataclass(frozen=True)
class Summed:
    """The sums of one stack's requests."""

    stack: str
    window: Window
    by: tuple[Dimension, ...]
    sums: dict[Group, Sums]
    unreadable: int


def table(summed: Summed) -> Table:
    """One row for each group, and the total."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in summed.by:
        shown.add_column(name.upper(), overflow="fold")
    for name in ("REQUESTS", "ERRORS", "TOKENS IN", "TOKENS OUT", "ESTIMATED", "COST"):
        shown.add_column(name, justify="right", no_wrap=True)
    for group, sums in summed.sums.items():
        shown.add_row(*(value or _NONE for value in group), *_cells(sums))
    whole = total(summed.sums)
    shown.add_section()
    shown.add_row("total", *("" for _ in summed.by[1:]), *_cells(whole), style="bold")
    return shown


def _cells(sums: Sums) -> tuple[str | Text, ...]:
    return (
        f"{sums.requests:,}",
        Text(f"{sums.errors:,}", style="yellow" if sums.errors else ""),
        f"{sums.input_tokens:,}",
        f"{sums.output_tokens:,}",
        f"{100 * sums.estimated_tokens / sums.tokens:.1f}%" if sums.tokens else _NONE,
        _cost(sums),
    )


def _cost(sums: Sums) -> str:
    known = sums.micro_dollars
    if known is None:
        return "unknown"
    text = dollars(known) if 0 < known < _CENT else dollars_and_cents(known)
    return text if sums.complete else f"{text} + unknown"


def footnotes(summed: Summed) -> Text:
    """What the table does not say by itself, one thing a line."""
    whole = total(summed.sums)
    said: list[str] = []
    if whole.unpriced_tokens:
        said.append(f"Tokens without a known price: {whole.unpriced_tokens:,}. Their cost is unknown, not nothing.")
    if whole.uncounted:
        said.append(f"Requests whose host has not said how many tokens it counted: {whole.uncounted:,}.")
    if whole.simulated:
        said.append(f"Requests to simulated hosts: {whole.simulated:,}. Their cost is what the real ones would charge.")
    return Text("".join(f"{line}\n" for line in ("", *said)) if said else "", style="dim")


def to_json(summed: Summed) -> str:
    """An object with `rows` and `total`; money in whole micro-dollars, null where nothing of it is known."""
    document = {
        "stack": summed.stack,
        "since": _moment(summed.window.since),
        "until": _moment(summed.window.until),
        "by": summed.by,
        "rows": [{**dict(zip(summed.by, group, strict=True)), **_numbers(sums)} for group, sums in summed.sums.items()],
        "total": _numbers(total(summed.sums)),
        "unreadableLines": summed.unreadable,
    }
    return json.dumps(document, indent=2)


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None


def _numbers(sums: Sums) -> dict[str, Any]:
    return {
        "requests": sums.requests,
        "errors": sums.errors,
        "inputTokens": sums.input_tokens,
        "outputTokens": sums.output_tokens,
        "estimatedTokens": sums.estimated_tokens,
        "costMicroDollars": sums.micro_dollars,
        "costComplete": sums.complete,
        "unpricedTokens": sums.unpriced_tokens,
        "uncountedRequests": sums.uncounted,
        "simulatedRequests": sums.simulated,
    }


def to_csv(summed: Summed) -> str:
    """A line for each group, with a head; the cost in dollars, empty where nothing of it is known."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(
        (
            *summed.by,
            *("requests", "errors", "input_tokens", "output_tokens", "estimated_tokens"),
            *("cost_dollars", "cost_complete", "unpriced_tokens", "uncounted_requests", "simulated_requests"),
        )
    )
    for group, sums in summed.sums.items():
        known = sums.micro_dollars
        rows.writerow(
            (
                *(value or "" for value in group),
                *(sums.requests, sums.errors, sums.input_tokens, sums.output_tokens, sums.estimated_tokens),
                "" if known is None else f"{known // 10**6}.{known % 10**6:06}",
                str(sums.complete).lower(),
                *(sums.unpriced_tokens, sums.uncounted, sums.simulated),
            )
        )
    return out.getvalue()
