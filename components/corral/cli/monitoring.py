"""`corral monitoring`: a stack's Prometheus rules, and the Grafana dashboard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from corral.cli.project import StackOption, load, write_files
from corral.monitoring.dashboard import dashboard
from corral.monitoring.rules import OBJECTIVE, rules


def monitoring(
    stack: StackOption = "local",
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the files go.")] = Path("monitoring"),
    objective: Annotated[
        float, typer.Option(min=50, max=99.999, metavar="PERCENT", help="Of requests that are answered.")
    ] = OBJECTIVE,
    budget: Annotated[
        float | None, typer.Option(min=0, metavar="DOLLARS", help="A month, for all models together.")
    ] = None,
) -> None:
    """Write a stack's recording and alerting rules for Prometheus, and a Grafana dashboard over them."""
    files = {
        out / f"{stack}.rules.json": rules(load(stack).plan, objective, budget),
        out / "dashboard.json": dashboard(),
    }
    write_files({file: json.dumps(content, indent=2) + "\n" for file, content in files.items()}, out)
    typer.echo("\n".join(map(str, files)))
