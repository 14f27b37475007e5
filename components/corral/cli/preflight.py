"""`corral preflight`: says what would stop a deployment, before anything is made."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from corral.catalog.load import load_catalog
from corral.cli.project import CommandError, StackOption, load
from corral.cli.verify import report
from corral.config.read import read_stack
from corral.gateway.preflight import preflight as ask


def preflight(
    stack: StackOption = "local",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Ask the clouds whether pulumi up will get what it takes: accounts, models, quotas, zones, weights, names.

    Only reads, with the credentials that pulumi up would have; HF_TOKEN is the token for gated weights.  Exit status 1
    if something is refused; what could not be asked is unknown, is told, and stops nothing.
    """
    loaded = load(stack).without_errors()
    declared = read_stack(loaded.file, load_catalog())
    if loaded.plan.engine == "local":
        raise CommandError(
            f"Stack {stack} runs on one machine, where there is nothing to provision: corral verify --stack {stack}"
        )
    report(ask(declared, loaded.plan, os.environ), as_json=as_json)
