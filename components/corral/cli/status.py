"""`corral status`: declared beside observed, of the engine that runs."""

from __future__ import annotations

from typing import Annotated

import httpx
import typer
from rich.text import Text

from corral.cli.project import StackOption, running
from corral.cli.tables import LEGEND, budgets_table, status_table
from corral.cli.terminal import console, print_json, print_prose
from corral.local.errors import EngineError
from corral.local.state_folder import Running
from corral.local.statistics.status import STATUS, StackStatus

_PATIENCE_SECONDS = 60.0


def status(
    stack: StackOption = "local",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show each model's declared and observed shares, requests, errors, latency and state, since the last change.

    Exit status 1 if the stack is not being served.
    """
    engine = running(stack)
    now = current_status(engine)
    reload = now.last_reload
    if as_json:
        about = {"url": engine.url, "page": engine.page_url, "pid": engine.pid, "since": engine.since}
        print_json({**about, "plan": now.plan, "lastReload": reload, "models": now.models, "budgets": now.budgets})
    else:
        out = console()
        where = f" at {engine.url}, plan {now.plan[:12]} since {engine.since}; page: {engine.page_url}\n"
        out.print(Text.assemble((stack, "bold"), where))
        if reload.problem:
            since = f"The stack file is not in force, since {reload.since.isoformat(timespec='seconds')}:"
            out.print(Text(f"{since}\n{reload.problem}\n", style="yellow"), soft_wrap=True)
        out.print(status_table(now.models))
        if now.budgets:
            out.print(budgets_table(now.budgets))
        attempts = "Failed attempts: what a host did not answer well; another host may have."
        print_prose(out, Text(f"\n{LEGEND} {attempts}\n", style="dim"))


def current_status(engine: Running) -> StackStatus:
    """The engine alone knows what an Envoy before this one has counted, and what became of the file."""
    try:
        answer = httpx.get(f"{engine.page_url}status", timeout=_PATIENCE_SECONDS)
    except httpx.HTTPError as reason:
        raise EngineError(f"corral serve does not answer at {engine.page_url}: {reason!r}.") from None
    if answer.status_code != 200:
        raise EngineError(answer.text.strip())
    return STATUS.validate_json(answer.content)
