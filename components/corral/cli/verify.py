"""`corral verify`: asks the hosts themselves whether they still serve what the plan expects of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import astuple, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from corral.cli.project import StackOption, load
from corral.cli.terminal import console, print_json
from corral.hosts.azure.entra import Tokens, token
from corral.hosts.keys import keys_here
from corral.hosts.probing import Precondition, Verdict
from corral.hosts.verify import verify as ask
from corral.plan.plan import Plan, Target

_STYLE = {"refused": "bold red", "allowed": "green", "unknown": "yellow"}


def verify(
    stack: StackOption = "local",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Ask each host that has a credential for its models; report every id that is gone, retired or not enabled.

    Keys are found where corral serve finds them.  Exit status 1 if a host refuses an id; what could not be
    asked is unknown, is told, and stops nothing.
    """
    loaded = load(stack)
    plan, folder = loaded.plan, loaded.file.parent
    tokens = Tokens(partial(token, os.environ))
    verdicts = ask(_seen_from_here(plan, folder), keys_here(plan, os.environ, folder), token=tokens.get)
    report(verdicts, as_json=as_json)


def _seen_from_here(plan: Plan, folder: Path) -> Plan:
    """The plan with the paths of its certificates, which are relative to the stack file's folder, as they are here."""

    def seen(target: Target) -> Target:
        return replace(target, ca=str(folder / target.ca)) if target.ca else target

    return replace(plan, models=tuple(replace(model, targets=tuple(map(seen, model.targets))) for model in plan.models))


def report(verdicts: Sequence[Verdict] | Sequence[Precondition], *, as_json: bool) -> None:
    """Prints the verdicts, and ends with exit status 1 where one is a refusal."""
    if as_json:
        print_json(verdicts)
    else:
        console().print(_table(verdicts))
    if any(verdict.outcome == "refused" for verdict in verdicts):
        raise typer.Exit(1)


def _table(verdicts: Sequence[Verdict] | Sequence[Precondition]) -> Table:
    """A row for each model at each host, or for each of what a part of the stack needs."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    of_models = all(isinstance(verdict, Verdict) for verdict in verdicts)
    for name in (*(("MODEL", "HOST", "ID AT THE HOST") if of_models else ("PART", "NEEDS")), "VERDICT", "WHY"):
        table.add_column(name, overflow="fold")
    for verdict in verdicts:
        *subject, outcome, why = astuple(verdict)
        table.add_row(*subject, Text(outcome, style=_STYLE[outcome]), why)
    return table
