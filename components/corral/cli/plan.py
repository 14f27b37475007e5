"""`corral plan`: the plan of a stack as a table, with every finding."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.text import Text

from corral.cli.project import StackOption, load
from corral.cli.tables import findings_text, plan_table, tenants_table
from corral.cli.terminal import console, print_prose
from corral.hosts.verify import signed_in
from corral.local.desired import Loaded
from corral.local.placement import place
from corral.plan.public_json import content_hash, to_json

_NOBODY_IS_ASKED = "No tenants are declared: only this machine can call, and needs no key."


def plan(
    stack: StackOption = "local",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show where the requests of a stack go, what that costs, and everything there is to say of it.

    Exit status 1 if the plan has errors: it would be refused.
    """
    loaded = load(stack)
    out = console()
    if as_json:
        out.out(json.dumps(_document(loaded), indent=2), highlight=False)
    else:
        of = f" on the {loaded.plan.engine} engine, plan {content_hash(loaded.plan)[:12]}\n"
        out.print(Text.assemble((loaded.plan.stack, "bold"), of))
        out.print(plan_table(loaded.plan, _here(loaded)))
        out.print(tenants_table(loaded.plan) if loaded.plan.tenants else _NOBODY_IS_ASKED)
        out.print()
        print_prose(out, findings_text(loaded.findings))
    if any(finding.level == "error" for finding in loaded.findings):
        raise typer.Exit(1)


def _here(loaded: Loaded) -> dict[str, str]:
    """Per host what `corral serve` would make of it on this machine."""
    placements, unreachable = place(loaded.plan, loaded.settings.simulate, os.environ, signed_in)
    return {
        **{
            host: f"simulated: {placed.simulated}" if placed.simulated else "real"
            for host, placed in placements.items()
        },
        **{host.host: "only with --simulate" for host in unreachable},
    }


def _document(loaded: Loaded) -> dict[str, Any]:
    return {
        "hash": content_hash(loaded.plan),
        "plan": to_json(loaded.plan),
        "findings": [
            {"wayOut" if key == "way_out" else key: value for key, value in asdict(finding).items()}
            for finding in loaded.findings
        ],
        "onThisMachine": _here(loaded),
    }
