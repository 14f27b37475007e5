"""What `corral usage` found, as a table, as JSON, as CSV.

`corral usage`: who used what, and what it cost, from the log of requests.
"""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from corral.cli.project import StackOption, load, root, stack_file
from corral.cli.tables import LEGEND
from corral.cli.terminal import Sheet, complain, console, print_prose
from corral.config.problems import correction
from corral.local.errors import EngineError
from corral.local.state_folder import Folder
from corral.local.statistics.cost import Tariffs, read_tariffs, tariff
from corral.local.statistics.request_log import EXAMPLES, Reading, Window, moment
from corral.local.statistics.usage import DIMENSIONS, Dimension, Group, Sums, add_up, total
from corral.plan.money import dollars, dollars_and_cents

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


def table(summed: Summed) -> Sheet:
    """One row for each group, and the total."""
    numbers = ("REQUESTS", "SERVER ERRORS", "CLIENT ERRORS", "TOKENS IN", "TOKENS OUT", "ESTIMATED", "COST")
    titles = len(summed.by) - 1
    sheet = Sheet(*(name.upper() for name in summed.by), *numbers, titles=titles, repeat=True)
    for names, rows in groupby(summed.sums.items(), lambda item: item[0][:-1]):
        sheet.group(*(name or _NONE for name in names))
        for group, sums in rows:
            sheet.row(group[-1] or _NONE, *_cells(sums))
    first, *others = ("total", *("" for _ in range(titles)))
    sheet.group(*(first, *others)[:titles])
    sheet.row(others[-1] if others else first, *_cells(total(summed.sums)), style="bold")
    return sheet


def _cells(sums: Sums) -> tuple[str | Text, ...]:
    return (
        f"{sums.requests:,}",
        Text(f"{sums.server_errors:,}", style="red" if sums.server_errors else ""),
        Text(f"{sums.client_errors:,}", style="yellow" if sums.client_errors else ""),
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
    notes = [LEGEND]
    if whole.unpriced_tokens:
        notes.append(f"Tokens without a known price: {whole.unpriced_tokens:,}. Their cost is unknown, not nothing.")
    if whole.uncounted:
        notes.append(f"Requests whose host has not said how many tokens it counted: {whole.uncounted:,}.")
    if whole.simulated:
        notes.append(
            f"Requests to simulated hosts: {whole.simulated:,}. Their cost is what the real ones would charge."
        )
    return Text("".join(f"{line}\n" for line in ("", *notes)), style="dim")


def to_json(summed: Summed) -> str:
    """An object with `rows` and `total`; money in whole micro-dollars, null where nothing of it is known."""
    document = {
        "stack": summed.stack,
        "since": _moment_text(summed.window.since),
        "until": _moment_text(summed.window.until),
        "by": summed.by,
        "rows": [{**dict(zip(summed.by, group, strict=True)), **_numbers(sums)} for group, sums in summed.sums.items()],
        "total": _numbers(total(summed.sums)),
        "unreadableLines": summed.unreadable,
    }
    return json.dumps(document, indent=2)


def _moment_text(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None


def _numbers(sums: Sums) -> dict[str, Any]:
    return {
        "requests": sums.requests,
        "serverErrors": sums.server_errors,
        "clientErrors": sums.client_errors,
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
            *("requests", "server_errors", "client_errors", "input_tokens", "output_tokens", "estimated_tokens"),
            *("cost_dollars", "cost_complete", "unpriced_tokens", "uncounted_requests", "simulated_requests"),
        )
    )
    for group, sums in summed.sums.items():
        known = sums.micro_dollars
        rows.writerow(
            (
                *(value or "" for value in group),
                *(sums.requests, sums.server_errors, sums.client_errors),
                *(sums.input_tokens, sums.output_tokens, sums.estimated_tokens),
                "" if known is None else f"{known // 10**6}.{known % 10**6:06}",
                str(sums.complete).lower(),
                *(sums.unpriced_tokens, sums.uncounted, sums.simulated),
            )
        )
    return out.getvalue()


class Prices(StrEnum):
    """Which prices tokens are counted at."""

    THEN = "then"
    NOW = "now"


def _moment(text: str) -> datetime:
    try:
        return moment(text, datetime.now(UTC))
    except ValueError as reason:
        raise typer.BadParameter(str(reason)) from None


def _dimensions(text: str) -> tuple[Dimension, ...]:
    found: list[Dimension] = []
    for word in text.split(","):
        known: Dimension | None = next((each for each in DIMENSIONS if each == word.strip()), None)
        if known is None:
            raise typer.BadParameter(
                f"{word.strip()!r} is not one of {', '.join(DIMENSIONS)}{correction(word, DIMENSIONS)}"
            )
        if known not in found:
            found.append(known)
    return tuple(found)


def usage(
    stack: StackOption = "local",
    since: Annotated[
        datetime | None,
        typer.Option(
            parser=_moment, metavar="TIME", help=f"From when on: {EXAMPLES} (UTC). All that is kept if left out."
        ),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(parser=_moment, metavar="TIME", help="Until when: likewise. Now if left out.")
    ] = None,
    by: Annotated[str, typer.Option(metavar="NAMES", help="What to add up by: any of tenant,model,host.")] = ",".join(
        DIMENSIONS
    ),
    at: Annotated[
        Prices, typer.Option("--prices", help="The prices when a request was served, or those of the stack file now.")
    ] = Prices.THEN,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV, without the total.")] = False,
) -> None:
    """Add up what was asked of a stack on this machine: requests, errors, tokens and their cost.

    Exit status 1 if it was never served here.
    """
    if as_json and as_csv:
        raise typer.BadParameter("give --json or --csv, not both")
    if since and until and since >= until:
        raise typer.BadParameter(f"ends before it begins: since {since:%Y-%m-%d %H:%M:%S}", param_hint="--until")
    dimensions = _dimensions(by)
    folder = Folder.of(root(), stack)
    reading = Reading(folder, Window(since, until))
    tariffs = Tariffs(read_tariffs(folder)) if at is Prices.THEN else Tariffs([tariff(load(stack).plan)])
    try:
        sums = add_up(reading, dimensions, tariffs)
    except FileNotFoundError:
        raise _never_served(stack, folder) from None
    summed = Summed(stack, reading.window, dimensions, sums, reading.unreadable)
    out = console()
    if as_json:
        out.out(to_json(summed), highlight=False)
    elif as_csv:
        out.out(to_csv(summed), highlight=False, end="")
    else:
        out.print(Text.assemble((stack, "bold"), f" {_between(reading.window)}\n"))
        out.print(table(summed))
        print_prose(out, footnotes(summed))
    if reading.unreadable:
        complain(_unreadable(reading))


def _never_served(stack: str, folder: Folder) -> EngineError:
    """Raises ConfigError where there is no such stack either."""
    if not stack_file(stack).exists():
        load(stack)
    return EngineError(
        f"Stack {stack} has not been served on this machine: there is no log of requests in "
        f"{_from_here(folder.requests)}. Serve it with: corral serve --stack {stack}"
    )


def _between(window: Window) -> str:
    since = f"since {window.since:%Y-%m-%d %H:%M:%S}" if window.since else "since the log begins"
    until = f" until {window.until:%Y-%m-%d %H:%M:%S}" if window.until else ""
    return f"{since}{until} (UTC)" if window.since or window.until else since


def _unreadable(reading: Reading) -> str:
    lines = "1 line of the log is" if reading.unreadable == 1 else f"{reading.unreadable} lines of the log are"
    more = ", …" if reading.unreadable > len(reading.places) else ""
    places = ", ".join(f"{_from_here(path)}:{number}" for path, number in reading.places)
    return f"{lines} no request and not counted: {places}{more}"


def _from_here(path: Path) -> str:
    return os.path.relpath(path)
