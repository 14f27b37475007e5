"""`corral usage`: who used what, and what it cost, from the log of requests; as a table, as JSON, as CSV."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from corral.cli.project import StackOption, load, root, stack_file
from corral.cli.tables import LEGEND
from corral.cli.terminal import Sheet, complain, console, print_json, print_prose
from corral.config.problems import correction
from corral.local.errors import EngineError
from corral.local.state_folder import StateFolder
from corral.local.statistics.cost import Tariffs, read_tariffs, tariff
from corral.local.statistics.request_log import EXAMPLES, Reading, Window, moment
from corral.local.statistics.usage import DIMENSIONS, Dimension, Group, Sums, add_up, total
from corral.plan.money import dollars, dollars_and_cents
from corral.plan.public_json import object_json

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
    cost = sums.micro_dollars
    if cost is None:
        return "unknown"
    text = dollars(cost) if 0 < cost < _CENT else dollars_and_cents(cost)
    return text if sums.complete else f"{text} + unknown"


def footnotes(summed: Summed) -> Text:
    """What the table does not say by itself, one thing a line."""
    whole = total(summed.sums)
    notes = [LEGEND]
    if whole.unpriced_tokens:
        notes.append(f"Tokens without a known price: {whole.unpriced_tokens:,}. Their cost is unknown, not nothing.")
    if whole.cached_tokens:
        notes.append(f"Tokens in that the hosts had kept from prompts before: {whole.cached_tokens:,}.")
    if whole.reasoning_tokens:
        notes.append(f"Tokens out that were thoughts: {whole.reasoning_tokens:,}.")
    if whole.uncounted:
        notes.append(f"Requests whose host has not said how many tokens it counted: {whole.uncounted:,}.")
    if whole.simulated:
        notes.append(
            f"Requests to simulated hosts: {whole.simulated:,}. Their cost is what the real ones would charge."
        )
    return Text("".join(f"{line}\n" for line in ("", *notes)), style="dim")


@dataclass(frozen=True)
class Amounts:
    """The sums of a row for programs."""

    requests: int
    server_errors: int
    client_errors: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    estimated_tokens: int
    cost_micro_dollars: int | None
    """None: nothing of it is known."""
    cost_complete: bool
    unpriced_tokens: int
    uncounted_requests: int
    simulated_requests: int


def _amounts(sums: Sums) -> Amounts:
    return Amounts(
        requests=sums.requests,
        server_errors=sums.server_errors,
        client_errors=sums.client_errors,
        input_tokens=sums.input_tokens,
        cached_tokens=sums.cached_tokens,
        output_tokens=sums.output_tokens,
        reasoning_tokens=sums.reasoning_tokens,
        estimated_tokens=sums.estimated_tokens,
        cost_micro_dollars=sums.micro_dollars,
        cost_complete=sums.complete,
        unpriced_tokens=sums.unpriced_tokens,
        uncounted_requests=sums.uncounted,
        simulated_requests=sums.simulated,
    )


def document(summed: Summed) -> dict[str, object]:
    """What `--json` prints."""
    return {
        "stack": summed.stack,
        "since": summed.window.since,
        "until": summed.window.until,
        "by": summed.by,
        "rows": [
            {**dict(zip(summed.by, group, strict=True)), **object_json(_amounts(sums))}
            for group, sums in summed.sums.items()
        ],
        "total": _amounts(total(summed.sums)),
        "unreadableLines": summed.unreadable,
    }


def to_csv(summed: Summed) -> str:
    """A line for each group, with a head; the cost in dollars, empty where nothing of it is known."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow((*summed.by, *(field.name.replace("_micro_", "_") for field in fields(Amounts))))
    for group, sums in summed.sums.items():
        amounts, cost = _amounts(sums), sums.micro_dollars
        values = {
            **asdict(amounts),
            "cost_micro_dollars": "" if cost is None else f"{cost // 10**6}.{cost % 10**6:06}",
            "cost_complete": str(amounts.cost_complete).lower(),
        }
        rows.writerow((*(value or "" for value in group), *values.values()))
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
    dimensions: list[Dimension] = []
    for name in map(str.strip, text.split(",")):
        dimension: Dimension | None = next((each for each in DIMENSIONS if each == name), None)
        if dimension is None:
            raise typer.BadParameter(f"{name!r} is not one of {', '.join(DIMENSIONS)}{correction(name, DIMENSIONS)}")
        if dimension not in dimensions:
            dimensions.append(dimension)
    return tuple(dimensions)


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
    folder = StateFolder.of(root(), stack)
    reading = Reading(folder, Window(since, until))
    tariffs = Tariffs(read_tariffs(folder)) if at is Prices.THEN else Tariffs([tariff(load(stack).plan)])
    try:
        sums = add_up(reading, dimensions, tariffs)
    except FileNotFoundError:
        raise _never_served(stack, folder) from None
    summed = Summed(stack, reading.window, dimensions, sums, reading.unreadable)
    out = console()
    if as_json:
        print_json(document(summed))
    elif as_csv:
        out.out(to_csv(summed), highlight=False, end="")
    else:
        out.print(Text.assemble((stack, "bold"), f" {_between(reading.window)}\n"))
        out.print(table(summed))
        print_prose(out, footnotes(summed))
    if reading.unreadable:
        complain(_unreadable(reading))


def _never_served(stack: str, folder: StateFolder) -> EngineError:
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
