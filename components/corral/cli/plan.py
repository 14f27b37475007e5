"""`corral plan`: the plan of a stack as a table, with every finding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.text import Text

from corral.cli.project import StackOption, load
from corral.cli.tables import (
    findings_text,
    headroom_table,
    losses_table,
    money_lines,
    plan_table,
    ramps_table,
    tenants_table,
)
from corral.cli.terminal import console, print_json, print_prose
from corral.config.problems import listed
from corral.plan.capabilities import answering
from corral.plan.capacity import headroom
from corral.plan.checks.ramps import flight
from corral.plan.money import sums
from corral.plan.public_json import content_hash

_GATEWAY_STANDS = "A region is lost with its hosts alone here: a gateway in it is lost as well."

_NAMED = 3
"""More models without a peak are counted."""

_OPEN_TO_ALL = "No tenants are declared: only this machine can call, and needs no key."


def plan(
    stack: StackOption = "local",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show where the requests of a stack go, what that costs, and everything there is to say of it.

    Exit status 1 if the plan has errors: it would be refused.
    """
    loaded = load(stack)
    stairs = [stair for model in loaded.plan.models for stair in flight(loaded.plan, model)]
    if as_json:
        hashed = content_hash(loaded.plan)
        of_local = loaded.plan.models if loaded.plan.engine == "local" else ()
        routed = {model.name: answering(model) for model in of_local}
        print_json(
            {
                "hash": hashed,
                "plan": loaded.plan,
                "answering": routed,
                "headroom": headroom(loaded.plan),
                "month": sums(loaded.plan),
                "ramps": stairs,
                "findings": loaded.findings,
            }
        )
    else:
        out = console()
        of = f" on the {loaded.plan.engine} engine, plan {content_hash(loaded.plan)[:12]}\n"
        out.print(Text.assemble((loaded.plan.stack, "bold"), of))
        out.print(plan_table(loaded.plan))
        if lines := "\n".join(money_lines(loaded.plan)):
            out.out(f"{lines}\n", highlight=False)
        if peaks := headroom(loaded.plan):
            out.print(headroom_table(peaks))
            out.print(losses_table(peaks))
            out.print(_GATEWAY_STANDS, style="dim")
        if without := [model.name for model in loaded.plan.models if model.peak is None]:
            print_prose(out, Text(f"{_no_peak(without)}\n", style="dim"))
        if stairs:
            out.print(ramps_table(stairs, loaded.plan.accept))
        out.print(tenants_table(loaded.plan) if loaded.plan.tenants else _OPEN_TO_ALL)
        out.print()
        print_prose(out, findings_text(loaded.findings))
    if any(finding.level == "error" for finding in loaded.findings):
        raise typer.Exit(1)


def _no_peak(models: Sequence[str]) -> str:
    """What is not reckoned, and what it would take."""
    which = listed(models, "and") if len(models) <= _NAMED else f"{len(models)} models"
    whose = models[0] if len(models) == 1 else "<model>"
    return (
        f"Whether the hosts of {which} carry the busiest minute is not reckoned: give it, corral:models.{whose}.peak; "
        "`corral usage` has the requests and tokens of a minute."
    )
