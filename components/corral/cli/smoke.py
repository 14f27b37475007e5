"""`corral smoke`: asks a gateway for answers, as a client does."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from corral.cli.project import CommandError, StackOption, load, root, running
from corral.cli.verify import report
from corral.gateway.smoke import Access
from corral.gateway.smoke import smoke as ask
from corral.plan.plan import Plan

_ANSWER_SECONDS = 120


def smoke(
    stack: StackOption = "local",
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="The gateway's, as clients have it: https://llm.example.com/v1.")
    ] = None,
    key_variable: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The environment variable with an API key or a token to ask with."),
    ] = None,
    ca: Annotated[Path | None, typer.Option(metavar="FILE", help="Trust this certificate authority as well.")] = None,
    requests: Annotated[int, typer.Option(min=1, help="Requests for a model, at most.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Ask the gateway for an answer of each model, until each host that shares it has given one.

    Without --url, a stack on a cluster is found by its outputs (pulumi stack output --show-secrets), with its authority
    and its tenants' keys, which are shown nowhere.  Exit status 1 if a request fails, or a host never answers.
    """
    loaded = load(stack)
    access = _access(loaded.plan, url, _key(key_variable))
    trust = ssl.create_default_context()
    if access.ca:
        trust.load_verify_locations(cadata=access.ca)
    if ca:
        try:
            trust.load_verify_locations(ca)
        except (OSError, ssl.SSLError):
            raise CommandError(f"{ca} has no certificates that can be read.") from None
    with httpx.Client(verify=trust, timeout=_ANSWER_SECONDS) as client:
        verdicts = list(ask(loaded.plan, access, client, requests))
    report(verdicts, as_json=as_json)


def _key(variable: str | None) -> str | None:
    if variable and not os.environ.get(variable):
        raise CommandError(f"--key-variable names {variable}, which is not set.")
    return os.environ[variable] if variable else None


def _access(plan: Plan, url: str | None, key: str | None) -> Access:
    if url:
        return Access(url.rstrip("/"), {}, key)
    if plan.engine == "local":
        from corral.local.state_folder import StateFolder  # needs corral[local]

        return Access(running(plan.stack).url, StateFolder.of(root(), plan.stack).read_generated_keys(), key)
    outputs = _outputs(plan.stack)
    if not isinstance(outputs.get("url"), str):
        raise CommandError(f"Stack {plan.stack} has no url among its outputs: run pulumi up -s {plan.stack} first.")
    return Access(outputs["url"], outputs.get("keys") or {}, key, outputs.get("ca"))


def _outputs(stack: str) -> dict[str, Any]:
    """The stack's, secrets in the open.  Raises CommandError."""
    otherwise = "name the gateway yourself: --url and --key-variable."
    command = ["pulumi", "stack", "output", "--json", "--show-secrets", "--non-interactive", "--stack", stack]
    try:
        done = subprocess.run(command, cwd=root(), capture_output=True, encoding="utf-8", check=True)
    except FileNotFoundError:
        raise CommandError(f"There is no pulumi on PATH to ask for the outputs of stack {stack}: {otherwise}") from None
    except subprocess.CalledProcessError as error:
        why = str(error.stderr).strip().rpartition("\n")[2].removeprefix("error: ")
        raise CommandError(f"pulumi has no outputs of stack {stack} ({why}): {otherwise}") from None
    return json.loads(done.stdout)
