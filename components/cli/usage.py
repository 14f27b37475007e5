"""`corral usage`: who used what, and what it cost, from the log of requests."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from components.cli.project import StackOption, load, root, stack_file
from components.cli.terminal import complain, console
from components.cli.usage_output import Summed, footnotes, table, to_csv, to_json
from components.config.names import correction
from components.embedded.errors import EngineError
from components.usage import prices
from components.usage.folder import Folder
from components.usage.log import Reading
from components.usage.prices import Tariffs, tariff
from components.usage.sums import DIMENSIONS, Dimension, add_up
from components.usage.window import EXAMPLES, Window, moment


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
    tariffs = Tariffs(prices.read(folder)) if at is Prices.THEN else Tariffs([tariff(load(stack).plan)])
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
        out.print(footnotes(summed), soft_wrap=True, end="")
    if reading.unreadable:
        complain(_unreadable(reading))


def _never_served(stack: str, folder: Folder) -> EngineError:
    """Raises ConfigError where there is no such stack either."""
    if not stack_file(stack).exists():
        load(stack)
    return EngineError(
        f"Stack {stack} has not been served on this machine: there is no log of requests in "
        f"{_from_here(folder.requests)}. Serve it with: corral up --stack {stack}"
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
