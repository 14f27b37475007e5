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

from corral.cli.project import CommandError, StackOption, load_servable, stack_file
from corral.cli.terminal import lossy_console, until_signalled
from corral.local.drill.record import Record
from corral.local.drill.report import report
from corral.local.drill.script import Script, scale_of, script, script_on_cluster
from corral.local.drill.text import line, print_report, progress
from corral.plan.plan import Plan
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
    on_cluster: Annotated[
        bool, typer.Option("--on-cluster", help="On the cluster of the stack, with a gateway of its own there.")
    ] = False,
    image: Annotated[
        str | None, typer.Option(metavar="IMAGE", help="On a cluster: the image of the simulated hosts and the load.")
    ] = None,
    kubeconfig: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="On a cluster: the file that leads to it.")
    ] = None,
    context: Annotated[str | None, typer.Option(help="On a cluster: the context of that file.")] = None,
) -> None:
    """Rehearse a stack: move its shares, fail its hosts, exceed a limit, under load, and report what was lost.

    All hosts are simulated, and the stack's file is not touched: a copy of it is served, on free ports; with
    --on-cluster by a gateway in the namespace corral-drill, which is removed at the end.
    --on-cluster has not yet been tried on a cluster that runs pods; what was tried is in docs/drills.md.
    Exit status 1 if a request was lost or a step did not do what it must; 130 after Ctrl-C, with the report so far.
    """
    if short and minutes is not None:
        raise typer.BadParameter("it is this or --short, not both", param_hint="--minutes")
    file, out, begun = stack_file(stack), lossy_console(), datetime.now(UTC)
    plan = load_servable(file).plan
    scale = _SHORT if short else scale_of(plan, minutes * 60) if minutes else 1
    records: list[Record] = []
    if on_cluster:
        run = _run_on_cluster(file, plan, scale, image, kubeconfig, context, out, records.append)
    elif image or kubeconfig or context:
        raise typer.BadParameter("it is for a drill with --on-cluster", param_hint="--image, --kubeconfig, --context")
    else:
        run = _run(file, script(plan, scale), out, records.append)
    try:
        interrupted = asyncio.run(until_signalled(run))
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
        await _shown(rehearsal.record, asyncio.create_task(rehearsal.run()), out)


async def _run_on_cluster(
    file: Path,
    plan: Plan,
    scale: float,
    image: str | None,
    kubeconfig: Path | None,
    context: str | None,
    out: Console,
    began: Callable[[Record], None],
) -> None:
    from corral.cli.drill_on_cluster import BUILD, cluster_of, deployed
    from corral.local.drill.on_cluster import prepare

    cluster = cluster_of(file, kubeconfig, context)
    if image is None:
        raise CommandError(
            "A drill on a cluster needs an image for its simulated hosts and its load, in a registry from which the "
            f"cluster pulls without a secret. Build it from a checkout of Corral, and name it with --image:\n  {BUILD}"
        )
    prepared = prepare(plan, script_on_cluster(plan, scale))
    async with deployed(file, cluster, image, prepared, out) as start:
        began(prepared.record)
        await _shown(prepared.record, start(), out)


async def _shown(record: Record, work: asyncio.Task[None], out: Console) -> None:
    """Shows the progress of a drill until its end."""
    with Live(console=out, auto_refresh=False, transient=True) as live:
        showing = asyncio.create_task(_show(record, live, out))
        try:
            await work
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
