"""`corral reconcile`: what was metered beside what a host bills, and why the two differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from corral.cli.project import CommandError, StackOption, load, root
from corral.cli.terminal import Sheet, console, print_json, print_prose
from corral.local.state_folder import StateFolder
from corral.local.statistics.bills import FORMATS, Charge, Reconciled, read_bill
from corral.local.statistics.bills import reconcile as reconciled
from corral.local.statistics.cost import MICRO_DOLLAR, Tariffs, read_tariffs, tariff
from corral.local.statistics.request_log import Reading, Request, Window, parse
from corral.local.statistics.usage import add_up
from corral.plan.money import dollars_and_cents, nearest


def reconcile(
    bill: Annotated[Path, typer.Option("--bill", metavar="FILE", help=f"The bill: {FORMATS}.")],
    stack: StackOption = "local",
    log: Annotated[
        typer.FileBinaryRead | None,
        typer.Option("--log", metavar="FILE", help="The access log of a cluster's Envoys; - is standard input."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, max=100, metavar="PERCENT", help="By how much a row may differ.")
    ] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Set what was metered beside what a host bills, by host and model, and name why they differ.

    Counts the days (of UTC) that the bill has. Exit status 1 if a row differs by more than the tolerance.
    """
    loaded = load(stack)
    charges = read_bill(bill.read_bytes(), str(bill))
    if not charges:
        raise CommandError(f"{bill} charges for no tokens.")
    window = _window(charges)
    folder = StateFolder.of(root(), stack)
    if log is None:
        requests: Iterable[Request] = Reading(folder, window)
        tariffs = Tariffs(read_tariffs(folder))
    else:
        requests = (each for each in _requests(log) if window.holds(each.time))
        tariffs = Tariffs([tariff(loaded.plan)])
    try:
        metered = add_up(requests, ("model", "host"), tariffs)
    except FileNotFoundError:
        raise CommandError(
            f"Stack {stack} was not served on this machine; of a cluster give its log with --log."
        ) from None
    rows = reconciled(charges, metered, loaded.plan)
    drifting = [row for row in rows if row.drifts(tolerance)]
    if as_json:
        print_json({"stack": stack, "since": window.since, "until": window.until, "rows": [*map(_document, rows)]})
    else:
        out = console()
        out.print(_table(rows))
        print_prose(out, Text("".join(f"{line}\n" for line in ("", *_lines(rows, drifting, tolerance)))))
    if drifting:
        raise typer.Exit(1)


def _window(charges: Iterable[Charge]) -> Window:
    days = sorted(each.day for each in charges if each.day)
    if not days:
        return Window()
    since, until = (datetime.combine(day, time(), UTC) for day in (days[0], days[-1] + timedelta(days=1)))
    return Window(since, until)


def _requests(lines: Iterable[bytes]) -> Iterator[Request]:
    for line in lines:
        _, brace, rest = line.partition(b"{")
        if brace and (request := parse(brace + rest)):
            yield request


def _table(rows: Iterable[Reconciled]) -> Sheet:
    sheet = Sheet(
        "HOST", "MODEL", "METERED IN", "BILLED IN", "METERED OUT", "BILLED OUT", "METERED", "BILLED", titles=1
    )
    for row in rows:
        sheet.group(row.host)
        tokens = (row.metered.input_tokens, row.billed.input + row.billed.cached)
        tokens += (row.metered.output_tokens, row.billed.output)
        cost = row.metered.micro_dollars
        metered = "unknown" if cost is None else dollars_and_cents(cost)
        sheet.row(row.model, *(f"{each:,}" for each in tokens), metered, _money(row.billed.millionths))
    return sheet


def _money(millionths: int) -> str:
    micro = nearest(abs(millionths), MICRO_DOLLAR)
    return f"{'-' if millionths < 0 else ''}{dollars_and_cents(micro)}"


def _signed(millionths: int) -> str:
    return f"{'+' if millionths >= 0 else ''}{_money(millionths)}"


def _lines(rows: Iterable[Reconciled], drifting: Iterable[Reconciled], tolerance: float) -> Iterator[str]:
    for row in rows:
        for cause in row.causes:
            tokens = f", {cause.tokens:+,} tokens" if cause.tokens else ""
            yield f"{row.host} {row.model}: {_signed(cause.millionths)}{tokens}: {cause.name}"
    names = ", ".join(f"{row.host} {row.model}" for row in drifting)
    yield f"More than {tolerance:g}% apart: {names}." if names else f"Nothing is more than {tolerance:g}% apart."


def _document(row: Reconciled) -> dict[str, object]:
    return {
        "host": row.host,
        "model": row.model,
        "metered": {
            "inputTokens": row.metered.input_tokens,
            "cachedTokens": row.metered.cached_tokens,
            "outputTokens": row.metered.output_tokens,
            "microDollars": row.metered.micro_dollars,
        },
        "billed": {
            "inputTokens": row.billed.input + row.billed.cached,
            "cachedTokens": row.billed.cached,
            "outputTokens": row.billed.output,
            "microDollars": nearest(row.billed.millionths, MICRO_DOLLAR),
        },
        "causes": [
            {"cause": each.name, "tokens": each.tokens, "microDollars": nearest(each.millionths, MICRO_DOLLAR)}
            for each in row.causes
        ],
    }
