"""`corral status`: declared beside observed, of the engine that runs."""

from __future__ import annotations

from typing import Annotated

import httpx
import typer
from rich.text import Text

from corral.cli.project import StackOption, running
from corral.cli.tables import LEGEND, status_table
from corral.cli.terminal import console, print_json, print_prose
from corral.local.errors import EngineError
from corral.local.state_folder import Running
from corral.local.statistics.status import STATUS, ModelStatus

_PATIENCE_SECONDS = 60.0


def status(
    stack: StackOption = "local",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show each model's declared and observed shares, requests, errors, latency and state, since the last change.

    Exit status 1 if the stack is not being served.
    """
    engine = running(stack)
    models = _models(engine)
    if as_json:
        about = {"url": engine.url, "page": engine.page_url, "pid": engine.pid, "since": engine.since}
        print_json({**about, "models": models})
    else:
        out = console()
        out.print(Text.assemble((stack, "bold"), f" at {engine.url}, since {engine.since}; page: {engine.page_url}\n"))
        out.print(status_table(models))
        attempts = "Failed attempts: what a host did not answer well; another host may have."
        print_prose(out, Text(f"\n{LEGEND} {attempts}\n", style="dim"))


def _models(engine: Running) -> tuple[ModelStatus, ...]:
    """The status of all models: the engine alone knows what an Envoy before this one has counted."""
    try:
        answer = httpx.get(f"{engine.page_url}status", timeout=_PATIENCE_SECONDS)
    except httpx.HTTPError as reason:
        raise EngineError(f"corral serve does not answer at {engine.page_url}: {reason!r}.") from None
    if answer.status_code != 200:
        raise EngineError(answer.text.strip())
    return STATUS.validate_json(answer.content)
