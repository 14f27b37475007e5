"""`corral registry`: the charts and images of a stack, to be copied to a mirror or committed beside it."""

from __future__ import annotations

from pathlib import Path

import typer

from corral.catalog.load import load_catalog
from corral.cli.project import CommandError, StackOption, stack_file
from corral.config.read import read_stack
from corral.config.stack import Stack
from corral.gateway.archives import FOLDER, ArchiveError, Archives, Origin
from corral.gateway.charts import charts, images
from corral.plan.build import build

registry = typer.Typer(
    help="List the charts and images of a stack, and pull its charts into stacks/charts.", no_args_is_help=True
)


@registry.command("list")
def listed(stack: StackOption = "local") -> None:
    """Print each chart and image, and what it is called at corral:registry.mirror, where the stack has one."""
    declared = _read(stack_file(stack))
    names = [f"{chart.repository}:{chart.version}" for chart in charts(declared)]
    for name in (*names, *images(declared, build(declared, load_catalog()))):
        typer.echo(f"{name} {declared.mirror.mirrored(name)}" if declared.mirror else name)


@registry.command("pull")
def pull(stack: StackOption = "local") -> None:
    """Pull the charts that are missing in stacks/charts, and compare the others with the digests in SHA256SUMS."""
    file = stack_file(stack)
    declared = _read(file)
    folder = file.parent / FOLDER
    try:
        pulled = Archives(folder).complete(charts(declared), Origin(declared.mirror, file.parent))
    except ArchiveError as error:
        raise CommandError(str(error)) from None
    for chart in pulled:
        typer.echo(f"pulled {folder / chart.archive}")
    typer.echo(f"all {len(charts(declared))} charts are in {folder}" + (": commit it" if pulled else ""))


def _read(file: Path) -> Stack:
    declared = read_stack(file, load_catalog())
    if declared.engine.kind == "local":
        raise CommandError(f"The stack {declared.name} runs on one machine, and takes no chart and no image.")
    return declared
