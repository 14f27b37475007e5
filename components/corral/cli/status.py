"""`corral status`: declared beside observed, of the engine that runs."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from corral.cli.project import StackOption, running
from corral.cli.tables import status_table
from corral.cli.terminal import console
from corral.local.admin import Admin
from corral.local.state_folder import Running
from corral.local.statistics.status import Counts, ModelStatus, count
from corral.local.statistics.status import status as of_plan


def status(
    stack: StackOption = "local",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show each model's declared and observed shares, requests, failures, latency and health, since the last change.

    Exit status 1 if the stack is not being served.
    """
    engine = running(stack)
    models = asyncio.run(_status(engine))
    out = console()
    if as_json:
        document = {"url": engine.url, "page": engine.page_url, "pid": engine.pid, "since": engine.since}
        out.out(json.dumps({**document, "models": [asdict(model) for model in models]}, indent=2), highlight=False)
    else:
        out.print(f"[bold]{stack}[/] at {engine.url}, since {engine.since}; page: {engine.page_url}\n")
        out.print(status_table(models))


async def _status(engine: Running) -> tuple[ModelStatus, ...]:
    admin = Admin(Path(engine.admin_socket))
    try:
        before = Counts(
            Counter({(model, host, code): number for model, host, code, number in engine.requests}),
            Counter({(model, host, code): number for model, host, code, number in engine.attempts}),
            {},
        )
        counts = (await count(admin)).since(before)
        unhealthy = await admin.unhealthy()
    finally:
        await admin.close()
    return of_plan(engine.plan, counts, unhealthy, engine.simulated)
