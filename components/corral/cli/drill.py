"""`corral drill`: rehearses a stack's moves and failures under load, and reports what was lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from corral.cli.project import StackOption, load_servable, stack_file
from corral.cli.terminal import lossy_console, until_signalled
from corral.local.drill.record import Record
from corral.local.drill.report import report
from corral.local.drill.script import Script, scale_of, script
from corral.local.drill.text import line, print_report, progress
from corral.plan.public_json import to_json

FAILED, INTERRUPTED = 1, 130

_REFRESH = 0.25
_SHORT = 0.2
"""Of the usual length."""


def _file(text: str) -> Path:
    path = Path(text)
    if path.is_dir():
        raise typer.BadParameter(f"{text} is a folder: name a file in it")
    if not path.absolute().parent.is_dir():
        raise typer.BadParameter(f"{path.parent} is no folder: make it, or name a file elsewhere")
    return path


def drill(
    stack: StackOption = "local",
    minutes: Annotated[
        float | None, typer.Option(min=0.2, max=60, help="About how long; a minute and a half if left out.")
    ] = None,
    short: Annotated[bool, typer.Option("--short", help="As short as it can be: bounds are wide then.")] = False,
    as_json: Annotated[
        Path | None, typer.Option("--json", parser=_file, metavar="FILE", help="Write the report as JSON too.")
    ] = None,
) -> None:
    """Rehearse a stack: move its shares, fail its hosts, exceed a limit, under load, and report what was lost.

    All hosts are simulated, and the stack's file is not touched: a copy of it is served, on free ports.
    Exit status 1 if a request was lost or a step did not do what it must; 130 after Ctrl-C, with the report so far.
    """
    if short and minutes is not None:
        raise typer.BadParameter("it is this or --short, not both", param_hint="--minutes")
    file, out, begun = stack_file(stack), lossy_console(), datetime.now(UTC)
    plan = load_servable(file).plan
    steps = script(plan, _SHORT if short else scale_of(plan, minutes * 60) if minutes else 1)
    records: list[Record] = []
    try:
        interrupted = asyncio.run(until_signalled(_run(file, steps, out, records.append)))
    finally:
        result = report(records[0], begun.isoformat(timespec="seconds")) if records else None
        if result:
            print_report(result, out)
            if as_json:
                as_json.write_text(json.dumps(to_json(result), indent=2) + "\n", encoding="utf-8")
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    if result and result.problems:
        raise typer.Exit(FAILED)


async def _run(file: Path, steps: Script, out: Console, began: Callable[[Record], None]) -> None:
    # Not before it is needed: the official client, which a drill calls with, takes half a second to load.
    from corral.local.drill.run import drilling

    async with drilling(file, load_servable, steps) as rehearsal:
        began(rehearsal.record)
        with Live(console=out, auto_refresh=False, transient=True) as live:
            showing = asyncio.create_task(_show(rehearsal.record, live, out))
            try:
                await rehearsal.run()
            finally:
                showing.cancel()
                await asyncio.gather(showing, return_exceptions=True)


async def _show(record: Record, live: Live, out: Console) -> None:
    """Keeps the progress fresh; without a terminal each step is printed when it has ended."""
    printed = 0
    while True:
        if out.is_terminal:
            live.update(progress(record), refresh=True)
        else:
            for span in record.spans[printed:]:
                out.print(line(span), soft_wrap=True)
            printed = len(record.spans)
        await asyncio.sleep(_REFRESH)
