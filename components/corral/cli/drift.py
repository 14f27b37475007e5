"""`corral drift`: whether a stack that was deployed is still as its file says, on the cluster and at the clouds."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from corral.cli.project import StackOption, load, root
from corral.cli.terminal import Sheet, complain, console, print_json
from corral.config.problems import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from corral.gateway.drift import Difference

DIFFERENT, UNREADABLE = 1, 2

_LAST_LINES = 20
"""Of what Pulumi writes where it fails without a reason of its own."""


def drift(
    stack: StackOption = "local",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Compare what the stack file declares, what was deployed last, and what the cluster and the clouds have now.

    Reads, and changes nothing.  Runs `pulumi preview --refresh` and needs what that needs: Pulumi, its login, and
    credentials that can read.

    Exit status 0 if all three are alike, 1 if they differ, 2 if something cannot be read.
    """
    from corral.gateway.drift import differences

    if load(stack).plan.engine == "local":
        complain(f"Stack {stack} is served on one machine: corral status --stack {stack} compares it.")
        raise typer.Exit(UNREADABLE)
    drifted = differences(_steps(stack))
    if as_json:
        print_json(drifted)
    elif drifted:
        console().print(_table(drifted))
        console().print("\n".join(["", *_ways_out(drifted, stack)]), soft_wrap=True)
    else:
        console().print(f"Stack {stack}: declared, deployed and observed are alike.")
    if drifted:
        raise typer.Exit(DIFFERENT)


def _steps(stack: str) -> list[dict[str, Any]]:
    """Ends with `UNREADABLE`, and says why, where there are none."""
    command = ["pulumi", "preview", "--refresh", "--show-sames", "--json", "--non-interactive", "--stack", stack]
    try:
        done = subprocess.run(command, cwd=root(), check=False, capture_output=True, text=True)
    except FileNotFoundError:
        complain("There is no pulumi on PATH: https://www.pulumi.com/docs/install/")
        raise typer.Exit(UNREADABLE) from None
    digest = _parsed(done.stdout)
    if done.returncode or "steps" not in digest:
        messages = [each["message"].strip() for each in digest.get("diagnostics", []) if each["severity"] == "error"]
        complain(
            "\n".join(dict.fromkeys(messages)) or "\n".join((done.stderr or done.stdout).splitlines()[-_LAST_LINES:])
        )
        raise typer.Exit(UNREADABLE)
    return digest["steps"]


def _parsed(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _table(drifted: Sequence[Difference]) -> Sheet:
    sheet = Sheet("RESOURCE", "PROPERTY", "DECLARED", "DEPLOYED", "OBSERVED", titles=1)
    resources: dict[str, list[Difference]] = {}
    for each in drifted:
        resources.setdefault(each.resource, []).append(each)
    for resource, rows in resources.items():
        sheet.group(resource)
        for row in rows:
            sheet.row(row.property, *map(_value, (row.declared, row.deployed, row.observed)))
    return sheet


def _value(value: Any) -> str:
    if value is None:
        return "–"
    return value if value in ("there", "one", "another") else shown(value)


def _ways_out(drifted: Sequence[Difference], stack: str) -> list[str]:
    lines: list[str] = []
    if any(each.deployed != each.observed for each in drifted):
        lines.append(f"What is observed is not what was deployed: `pulumi up --refresh -s {stack}` mends it.")
    if any(each.declared != each.deployed and each.deployed == each.observed for each in drifted):
        lines.append(f"What is declared was not deployed: `pulumi up -s {stack}` brings it into force.")
    return lines
